/**
 * Steady: how many are due, at a rate a second that may change.
 * From: fleet.ts and commander.ts, at each tick of theirs.  To: them, a whole number.
 * Bound: none: whoever cannot do what is due skips it.
 */
export class Steady {
  readonly #perSecond: number;
  #factor = 0;
  /** A fraction included. */
  #due = 0;
  #lookedAt = Date.now();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** Times the steady rate, from now on; 0: none. */
  rate(factor: number): void {
    this.#factor = factor;
    this.#due = 0;
  }

  /** Those that became due since the last look. */
  due(now: number): number {
    this.#due += (this.#perSecond * this.#factor * (now - this.#lookedAt)) / 1_000;
    this.#lookedAt = now;
    const whole = Math.floor(this.#due);
    this.#due -= whole;
    return whole;
  }
}
