/**
 * Wills: what some devices of one worker leave behind, and how each of their links ended.
 * From: fleet.ts, as links begin and end.  To: HELLO; the watch of the broker (measure/watch.ts),
 * which judges.
 * Bound: three numbers for each link that ended. A link is judged that we cut after it was open for
 * KNOWN_MS, and whose device stayed away as long: one that was hardly there is on no record, and
 * one that is back at once may take its link over, which cancels its will.
 */
import { WILL } from '../measure/willWatch.ts';
import { KIND, PAYLOAD_BYTES_MIN, type Payloads } from '../plan/payload.ts';
import type { Plan } from '../plan/plan.ts';
import { Random } from '../plan/random.ts';

const KNOWN_MS = 2_000;

export interface Willed {
  readonly index: number;
  readonly link: number;
}

interface Cut {
  readonly link: number;
  readonly at: number;
}

export class Wills {
  /** Device, link and one of WILL, in turn. A goodbye of ours is not among them. */
  readonly ends: number[] = [];
  readonly #plan: Plan;
  readonly #payloads: Payloads;
  readonly #openedAt = new Map<number, number>();
  /** Of devices that are away. */
  readonly #cuts = new Map<number, Cut>();

  constructor(plan: Plan, payloads: Payloads) {
    this.#plan = plan;
    this.#payloads = payloads;
  }

  has(index: number): boolean {
    const { willShare, seed } = this.#plan;
    return willShare > 0 && new Random(seed ^ 0x3111, index).next() < willShare;
  }

  /** Of this link; undefined: it leaves none. */
  payloadOf({ index, link }: Willed): Buffer | undefined {
    if (!this.has(index)) return undefined;
    const payload = Buffer.alloc(PAYLOAD_BYTES_MIN);
    this.#payloads.fill(payload, 0, payload.length, {
      device: index,
      number: link,
      kind: KIND.will,
    });
    return payload;
  }

  onConnect({ index }: Willed, now: number): void {
    const cut = this.#cuts.get(index);
    if (cut === undefined) return;
    this.#cuts.delete(index);
    this.#end(index, cut.link, now - cut.at >= KNOWN_MS ? WILL.published : WILL.either);
  }

  onOpen({ index }: Willed, now: number): void {
    if (this.has(index)) this.#openedAt.set(index, now);
  }

  onEnd({ index, link }: Willed, how: 'cut' | 'goodbye' | 'other', now: number): void {
    const openedAt = this.#openedAt.get(index);
    this.#openedAt.delete(index);
    if (how === 'goodbye' || !this.has(index)) return;
    const wasKnown = openedAt !== undefined && now - openedAt >= KNOWN_MS;
    if (how === 'cut' && wasKnown) this.#cuts.set(index, { link, at: now });
    else this.#end(index, link, WILL.either);
  }

  /** Those that are still away come back no more; who has just gone might have. */
  finish(now: number): readonly number[] {
    for (const index of [...this.#cuts.keys()]) {
      this.onConnect({ index, link: 0 }, now);
    }
    return this.ends;
  }

  #end(index: number, link: number, will: number): void {
    this.ends.push(index, link, will);
  }
}
