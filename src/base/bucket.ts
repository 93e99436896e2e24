/**
 * Bucket: a token bucket, for what may happen so often a second, and a little more at once.
 * From: whoever paces something, with a clock of its own.  To: whether one more may happen now.
 * Bound: `burst` tokens. Below zero it may go: what took more than there was makes the next wait.
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

  /** Add what was earned until `now`; nothing, where the clock was set back. */
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
