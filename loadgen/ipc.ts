/**
 * Ipc: the messages between the manager and its workers.
 * From: manager.ts and worker.ts.  To: each other, over the fork's channel.
 * Bound: a worker speaks once per interval, whatever the load; nothing per message.
 */
import type { CommandBroker } from './commands/commandPublisher.ts';
import type { Taken } from './measure/measures.ts';
import type { Example, ViolationCounts } from './measure/violations.ts';
import type { Plan } from './plan/plan.ts';

/** Length of an interval: the grain of the live line and of every plot. */
export const INTERVAL_MS = 1_000;

export type ToWorker =
  | {
      readonly type: 'plan';
      readonly plan: Plan;
      readonly worker: number;
      readonly commandBroker: CommandBroker | undefined;
    }
  /** Begin to connect at `atMs`; intervals count from there. */
  | { readonly type: 'connect'; readonly atMs: number }
  | { readonly type: 'load'; readonly atMs: number }
  /** Send nothing new; give what is open `graceMs`, then report. */
  | { readonly type: 'stop'; readonly graceMs: number }
  /** Close the links and exit. */
  | { readonly type: 'leave' };

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

export type FromWorker =
  | { readonly type: 'ready'; readonly worker: number }
  /** Every device's first connect has had its outcome. */
  | { readonly type: 'settled'; readonly worker: number; readonly welcomes: number }
  | Interval
  /** All is sent, answered or given up; the last interval came before. */
  | {
      readonly type: 'done';
      readonly worker: number;
      /** Of each of the worker's devices, in order. */
      readonly eventsSent: readonly number[];
      /** Device index and event number, in turn. */
      readonly unacked: readonly number[];
    };
