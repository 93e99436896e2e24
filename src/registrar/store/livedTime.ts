/**
 * LivedTime: how long a store has been in use, in ms, over all the processes that used it. Pure.
 * From: what is recorded, and a monotonic clock.  To: the age of rows.
 * Bound: STEP_MS_MAX from one look to the next: a process that stood still did not live longer.
 *
 * Nothing may be deleted because of two readings of a clock that can be set: a wall clock that was
 * 100 days ahead for a minute would make every row old. Time in which the store was not used does
 * not count either, so rows are deleted later than by the calendar, and never sooner.
 */

/** Well above the time from one look of the registrar's to the next. */
const STEP_MS_MAX = 300_000;

export class LivedTime {
  readonly #now: () => number;
  #ms: number;
  #lookedAt: number;

  /** `recordedMs`: what is on record. `now`: ms of a monotonic clock. */
  constructor(recordedMs: number, now: () => number) {
    this.#now = now;
    this.#ms = recordedMs;
    this.#lookedAt = now();
  }

  /** Whole ms, up to now. */
  get ms(): number {
    const now = this.#now();
    this.#ms += Math.min(STEP_MS_MAX, Math.max(0, now - this.#lookedAt));
    this.#lookedAt = now;
    return Math.floor(this.#ms);
  }
}
