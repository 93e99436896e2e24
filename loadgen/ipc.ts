/**
 * Ipc: the messages between the manager and its workers.
 * From: manager.ts and worker.ts.  To: each other, over the fork's channel.
 * Bound: a worker speaks once per interval, whatever the load; nothing per message.
 */
import type { CommandBroker } from './commands/commandPublisher.ts';
import type { Interval } from './measure/interval.ts';
import type { Plan } from './plan/plan.ts';

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
  /** The server is reloaded from now on; or no more. */
  | { readonly type: 'deploy'; readonly isUnderWay: boolean }
  /** Send nothing new; give what is open `graceMs`, then report. */
  | { readonly type: 'stop'; readonly graceMs: number }
  /** Close the links and exit. */
  | { readonly type: 'leave' };

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
    }
  /** Its links are about to end: how those with a will have ended before, as wills.ts has it. */
  | { readonly type: 'left'; readonly worker: number; readonly willEnds: readonly number[] };
