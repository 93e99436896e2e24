/**
 * Deadlines: many items, one duration, no timer of their own.
 * From: code with many timeouts (greetings, lingering sockets, open REQUESTs).  To: `onDue`.
 * Bound: its users bound the items; a sweep ends at most `SWEEP_MAX`, the next one continues.
 */

/** Items ended per sweep, so that a wave of deadlines does not hold up the event loop. */
export const SWEEP_MAX = 1_000;

/**
 * As every item waits equally long, the order of adding is the order of falling due, and a Map
 * keeps just that order: adding, removing and finding the next are all cheap.
 */
export class Deadlines<T> {
  readonly #due = new Map<T, number>();
  readonly #durationMs: number;
  readonly #onDue: (item: T) => void;

  constructor(durationMs: number, onDue: (item: T) => void) {
    this.#durationMs = durationMs;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#due.size;
  }

  /** Start (or start again) the time of `item`. Returns when it falls due, in the clock's ms. */
  add(item: T, now: number): number {
    const due = now + this.#durationMs;
    this.#due.delete(item);
    this.#due.set(item, due);
    return due;
  }

  has(item: T): boolean {
    return this.#due.has(item);
  }

  delete(item: T): boolean {
    return this.#due.delete(item);
  }

  /** Remove and end what is due. `onDue` may add and delete items. */
  sweep(now: number): void {
    let left = SWEEP_MAX;
    for (const [item, due] of this.#due) {
      if (due > now || left === 0) return;
      left -= 1;
      this.#due.delete(item);
      this.#onDue(item);
    }
  }
}
