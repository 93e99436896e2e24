/**
 * CommandTimes: how long commands take, from the broker's delivery to their end.
 * From: commands.ts.  To: its figures.
 * Bound: BEGUN_MAX commands that have not ended; of more than that the oldest are not observed, and
 * neither are those that an earlier process began.
 */
import { observeSince, ticks } from '../../base/histogram.ts';
import type { CommandCounters } from '../../base/metrics.ts';
import type { Outcome } from '../store/commandRows.ts';

const BEGUN_MAX = 32_768;
/** Ends that say nothing about devices: it was never sent, or nobody knows. */
const UNSENT: readonly string[] = ['not-sent', 'unknown'];

export class CommandTimes {
  readonly #counters: Pick<CommandCounters, 'transientSeconds' | 'keptSeconds'>;
  /** By key, the longest waiting first. */
  readonly #begun = new Map<string, number>();

  constructor(counters: Pick<CommandCounters, 'transientSeconds' | 'keptSeconds'>) {
    this.#counters = counters;
  }

  began(key: string): void {
    if (this.#begun.has(key)) return;
    this.#begun.set(key, ticks());
    if (this.#begun.size <= BEGUN_MAX) return;
    for (const oldest of this.#begun.keys()) {
      this.#begun.delete(oldest);
      return;
    }
  }

  /** What its sender is told; `delivered` is not its end. */
  ended({ key, type, reason, isKept }: Outcome): void {
    const begun = this.#begun.get(key);
    if (begun === undefined || type === 'delivered') return;
    this.#begun.delete(key);
    if (type !== 'result' && (type !== 'expired' || UNSENT.includes(reason))) return;
    const { keptSeconds, transientSeconds } = this.#counters;
    observeSince(isKept ? keptSeconds : transientSeconds, begun);
  }
}
