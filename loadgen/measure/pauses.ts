/**
 * Pauses: the longest time that each device waited for an answer, before a reload and from it on.
 * From: fleet.ts, each answer.  To: measures, once before the reload, and once when the run ends.
 * Bound: a number for each device that was answered. Times count from the real send.
 */
import type { Measures, TimeName } from './measures.ts';

export class Pauses {
  /** By device index, in ms. */
  readonly #longest = new Map<number, number>();
  /** A reload has begun. */
  #isLater = false;

  note(device: number, waitedMs: number): void {
    if (waitedMs > (this.#longest.get(device) ?? 0)) this.#longest.set(device, waitedMs);
  }

  /** The first reload begins: those that follow are measured with it. */
  reloads(measures: Measures): void {
    this.finish(measures);
    this.#isLater = true;
  }

  /** What was waited for until now. */
  finish(measures: Measures): void {
    const name: TimeName = this.#isLater ? 'pause' : 'pauseBefore';
    for (const waitedMs of this.#longest.values()) measures.time(name, waitedMs);
    this.#longest.clear();
  }
}
