/**
 * Seldom: for lines of the log that many devices or commands may cause at once.
 * From: whoever would write one.  To: its answer.
 * Bound: one in so many ms of a monotonic clock; the others are only counted by who asks.
 */
export class Seldom {
  readonly #everyMs: number;
  #last = Number.NEGATIVE_INFINITY;

  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  /** It may be written now. */
  may(): boolean {
    const now = performance.now();
    if (now - this.#last < this.#everyMs) return false;
    this.#last = now;
    return true;
  }
}
