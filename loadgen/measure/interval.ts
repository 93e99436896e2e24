/**
 * Interval: what one worker has measured in one second, as it travels to the manager.
 * From: worker.ts.  To: totals.ts, which adds them up.
 * Bound: one a second and worker, whatever the load.
 */
import type { Taken } from './measures.ts';
import type { Example, ViolationCounts } from './violations.ts';

/** Length of an interval: the grain of the live line and of every plot. */
export const INTERVAL_MS = 1_000;

/** How a worker is at this moment. */
export interface Gauges {
  readonly open: number;
  readonly connecting: number;
  readonly pending: number;
  /** CPU used since the last interval, and how long that was. */
  readonly cpuMs: number;
  readonly wallMs: number;
  /** Time in which the worker could have run and the machine ran something else. */
  readonly deniedMs: number;
  /** Event-loop delay beyond its resolution. */
  readonly lagP99Ms: number;
  readonly lagMaxMs: number;
  readonly rssBytes: number;
}

export interface Interval {
  readonly type: 'interval';
  readonly worker: number;
  /** 0 for the first second after the start of the connects. */
  readonly at: number;
  readonly taken: Taken;
  readonly violations: { readonly counts: ViolationCounts; readonly examples: readonly Example[] };
  readonly gauges: Gauges;
}
