/**
 * Heavy: the few links that hold much memory, and what all of them may hold together.
 * From: Endpoint, as soon as one holds HEAVY_BYTES; endpoints.ts, once per tick.
 * To: the greediest, which are not read from above the watermark, and closed above the bound.
 * Bound: `linksBytesMax`, which what comes within one tick may exceed. Links below HEAVY_BYTES are
 * not counted: a healthy fleet costs nothing here, and a fleet of `linksMax` that many bytes each.
 */
import type { Counters } from '../../base/metrics.ts';

/** A link that holds so much is looked at each tick. */
export const HEAVY_BYTES = 8 * 1024;

/** Above this share of the bound the greediest are not read from. */
const WATERMARK = 0.75;

/** A link, as far as its weight goes. */
export interface Weighed {
  /** Memory that it holds, in bytes. */
  readonly heldBytes: number;
  /** That of what its device has not taken. */
  readonly outboxHeldBytes: number;
  /** False: it is over, and its socket has still to go. */
  readonly isLive: boolean;
  /** Read no more, until woken. */
  rest(): void;
  wake(): void;
  /** Let go of its memory, and end. */
  shed(retryAfter: number): void;
}

export interface HeavyOptions {
  readonly bytesMax: number;
  readonly counters: Counters;
  /** When a link that was closed may come back, in ms; another time for each. */
  readonly retryAfter: () => number;
}

export class Heavy<L extends Weighed> {
  readonly #options: HeavyOptions;
  readonly #links = new Set<L>();
  #greedy: ReadonlySet<L> = new Set();

  constructor(options: HeavyOptions) {
    this.#options = options;
  }

  add(link: L): void {
    this.#links.add(link);
  }

  /** Its socket is gone. */
  forget(link: L): void {
    this.#links.delete(link);
  }

  /** Is it not to be read from? */
  isGreedy(link: L): boolean {
    return this.#greedy.size > 0 && this.#greedy.has(link);
  }

  /** Weigh them all. */
  tick(): void {
    const { bytesMax, counters } = this.#options;
    if (this.#links.size === 0 && counters.heavyLinks === 0) return;
    let bytes = this.#weigh();
    if (bytes > bytesMax) bytes -= this.#shed(bytes - bytesMax);
    this.#choose(bytes);
    counters.heavyLinks = this.#links.size;
    counters.heavyBytes = bytes;
  }

  /** What they hold; those that are no longer heavy are let go of. */
  #weigh(): number {
    let bytes = 0;
    for (const link of this.#links) {
      const { heldBytes } = link;
      if (heldBytes < HEAVY_BYTES) this.#links.delete(link);
      else bytes += heldBytes;
    }
    return bytes;
  }

  /** Close the greediest, and drop first whose link is over, until `excess` is gone. */
  #shed(excess: number): number {
    const weights = [...this.#links].map((link) => ({ link, bytes: link.heldBytes }));
    weights.sort((a, b) => Number(a.link.isLive) - Number(b.link.isLive) || b.bytes - a.bytes);
    let shed = 0;
    for (const { link, bytes } of weights) {
      if (shed >= excess) break;
      shed += bytes;
      link.shed(this.#options.retryAfter());
    }
    return shed;
  }

  /**
   * Above the watermark, a link is greedy if its device reads so slowly that more than an equal
   * share waits for it. Partial frames do not count: only reading on frees their memory.
   */
  #choose(bytes: number): void {
    const { bytesMax, counters } = this.#options;
    const before = this.#greedy;
    const watermark = bytesMax * WATERMARK;
    const share = watermark / this.#links.size;
    const links = bytes > watermark ? [...this.#links] : [];
    this.#greedy = new Set(links.filter((link) => link.isLive && link.outboxHeldBytes > share));
    for (const link of this.#greedy) {
      if (before.has(link)) continue;
      counters.greedy += 1;
      link.rest();
    }
    for (const link of before) if (!this.#greedy.has(link)) link.wake();
  }
}
