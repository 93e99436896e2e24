/**
 * Refused: messages that the broker nacked, to be retried: a queue is full, or has failed.
 * From: publisher.ts, for each nack.  To: the same, when they are due; or a reason to drop them.
 * Bound: a quarter of the publisher's window, in messages and bytes: what one full queue holds up
 * leaves the rest to all others. The same holds in flight: of that they have a quarter, and
 * hundreds that are due at once do not go before what devices send now. Each is retried at most
 * `nackTriesMax` times, first after `nackRetryMs`, doubled each time up to `nackRetryMaxMs`:
 * other queues that accepted the message get it again each time.
 */
import type { Limits } from '../base/limits.ts';
import type { Publishing } from './publisher.ts';

/** Of the window; the same in bytes. */
const SHARE = 1 / 4;

interface Refusal {
  tries: number;
  /** When it is retried, in ms of the publisher's clock. */
  due: number;
  isWaiting: boolean;
}

export class Refused {
  readonly #limits: Limits;
  /** Refused at least once, and neither confirmed nor dropped; in order of their first refusal. */
  readonly #refusals = new Map<Publishing, Refusal>();
  /** Those that are due, in order. */
  readonly #due = new Set<Publishing>();
  #waiting = 0;
  #bytes = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** Those that are not on their way again. */
  get waiting(): number {
    return this.#waiting;
  }

  /** It was nacked: it waits; or has to be dropped. */
  add(publishing: Publishing, now: number): 'waits' | 'refused' | 'crowded' {
    const { nackRetryMs, nackRetryMaxMs, nackTriesMax } = this.#limits;
    const refusal = this.#refusals.get(publishing) ?? this.#begin(publishing);
    if (refusal === undefined) return 'crowded';
    if (refusal.tries === nackTriesMax) return 'refused';
    refusal.due = now + Math.min(nackRetryMs * 2 ** refusal.tries, nackRetryMaxMs);
    refusal.tries += 1;
    refusal.isWaiting = true;
    this.#waiting += 1;
    return 'waits';
  }

  #begin(publishing: Publishing): Refusal | undefined {
    const { publishWindowMax, publishWindowBytes } = this.#limits;
    const bytes = this.#bytes + publishing.body.length;
    const isAlone = this.#refusals.size === 0;
    const isMuch = this.#refusals.size >= publishWindowMax * SHARE;
    if (!isAlone && (isMuch || bytes > publishWindowBytes * SHARE)) return undefined;
    const refusal = { tries: 0, due: 0, isWaiting: false };
    this.#refusals.set(publishing, refusal);
    this.#bytes = bytes;
    return refusal;
  }

  /** It is `now`: `take` gives those that are due. */
  tick(now: number): void {
    for (const [publishing, refusal] of this.#refusals) {
      if (!refusal.isWaiting || refusal.due > now) continue;
      this.#due.add(publishing);
    }
  }

  /** The next one that is due; none while they have their share of the `limit` under way. */
  take(limit: number): Publishing | undefined {
    if (this.#due.size === 0) return undefined;
    const underWay = this.#refusals.size - this.#waiting;
    if (underWay >= Math.max(1, limit * SHARE)) return undefined;
    const [next] = this.#due as Iterable<Publishing>;
    const refusal = next && this.#refusals.get(next);
    if (next === undefined || refusal === undefined) return undefined;
    this.#due.delete(next);
    refusal.isWaiting = false;
    this.#waiting -= 1;
    return next;
  }

  /** It was confirmed or dropped. */
  delete(publishing: Publishing): void {
    if (this.#refusals.size === 0) return;
    const refusal = this.#refusals.get(publishing);
    if (refusal === undefined) return;
    this.#refusals.delete(publishing);
    this.#bytes -= publishing.body.length;
    this.#due.delete(publishing);
    if (refusal.isWaiting) this.#waiting -= 1;
  }
}
