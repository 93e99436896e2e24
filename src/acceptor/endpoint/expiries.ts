/**
 * Expiries: items that end at times of their own, found by the second. Pure.
 * From: linkDeadlines.ts, links whose proof ends.  To: `onDue`, within EXPIRY_STEP_MS.
 * Bound: its users bound the items, two entries each; a sweep ends at most SWEEP_MAX of them.
 */
import { SWEEP_MAX } from '../../base/deadlines.ts';

/** Items that fall due within so many ms of each other share a set. */
export const EXPIRY_STEP_MS = 250;

export class Expiries<T> {
  readonly #onDue: (item: T) => void;
  /** By step of time. */
  readonly #steps = new Map<number, Set<T>>();
  readonly #stepOf = new Map<T, number>();
  /** Every step below has been swept. */
  #next = 0;

  constructor(onDue: (item: T) => void) {
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#stepOf.size;
  }

  /** `at`: ms of a monotonic clock. */
  add(item: T, at: number): void {
    this.delete(item);
    const step = Math.max(this.#next, Math.ceil(at / EXPIRY_STEP_MS));
    const items = this.#steps.get(step) ?? new Set();
    this.#steps.set(step, items.add(item));
    this.#stepOf.set(item, step);
  }

  delete(item: T): void {
    const step = this.#stepOf.get(item);
    if (step === undefined) return;
    this.#stepOf.delete(item);
    const items = this.#steps.get(step);
    items?.delete(item);
    if (items?.size === 0) this.#steps.delete(step);
  }

  /** End what is due. `onDue` may add and delete items. */
  sweep(now: number): void {
    const last = Math.floor(now / EXPIRY_STEP_MS);
    let left = SWEEP_MAX;
    while (this.#next <= last) {
      const items = this.#steps.get(this.#next);
      if (items === undefined) this.#skip(last);
      for (const item of items ?? []) {
        if (left === 0) return;
        left -= 1;
        this.delete(item);
        this.#onDue(item);
      }
    }
  }

  /** Nothing is there now. The first sweep, and one after a long sleep, do not count up to it. */
  #skip(last: number): void {
    this.#next += 1;
    if (last - this.#next <= this.#steps.size) return;
    let first = last + 1;
    for (const step of this.#steps.keys()) first = Math.min(first, step);
    this.#next = Math.max(this.#next, first);
  }
}
