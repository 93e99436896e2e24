/**
 * Bucket: a token bucket: limits a rate per second, and allows a burst.
 * From: any pacing code, with a clock of its own.  To: whether one more may happen now.
 * Bound: `burst` tokens. It may go below zero: then the next one waits for longer.
 */
export class Bucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  /** ms. */
  #filledAt: number;

  /** Full at `now`, in ms of any clock. */
  constructor(perSecond: number, burst: number, now: number) {
    this.#perMs = perSecond / 1_000;
    this.#burst = burst;
    this.#tokens = burst;
    this.#filledAt = now;
  }

  /** Add the tokens due until `now`; none if the clock was set back. */
  fill(now: number): void {
    const earned = Math.max(0, now - this.#filledAt) * this.#perMs;
    this.#tokens = Math.min(this.#burst, this.#tokens + earned);
    this.#filledAt = now;
  }

  get isEmpty(): boolean {
    return this.#tokens < 1;
  }

  take(count: number): void {
    this.#tokens -= count;
  }
}
