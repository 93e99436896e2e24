/**
 * Batch: what one transaction makes of kept commands, and what follows it.
 * From: durable.ts, which fills it.  To: the store; then durable.ts again, once it is on disk.
 * Bound: `presenceBatchMax` of each kind, and WRITE_BYTES_MAX of payloads: the store has to find
 * room on its disk for one transaction more than it counted on.
 */
import type { Refusal } from '../../base/errors.ts';
import type { CommandRow, Outcome, StoredOutcome } from '../store/commandRows.ts';
import type { Command } from './command.ts';
import type { DeviceQueue } from './deviceQueue.ts';
import type { Delivery } from './effects.ts';
import type { DeviceAnswer } from './transitions.ts';

/** What one transaction writes of arrived commands, and again of answers. */
const WRITE_BYTES_MAX = 1_024 * 1_024;

export interface Arrived {
  readonly command: Command;
  readonly delivery: Delivery;
  /** It was refused before anybody looked at its device. */
  readonly refusal: Refusal | undefined;
  /** Until when it may wait for its device to be known, in ms since 1970. */
  readonly until: number;
}

export interface Load {
  readonly queue: DeviceQueue;
  readonly generation: number;
  readonly device: string;
  readonly after: number;
  readonly limit: number;
}

/** What one transaction is made of, and what follows it. */
export interface CommandBatch {
  readonly arrived: readonly Arrived[];
  readonly answers: readonly DeviceAnswer[];
  readonly loads: readonly Load[];
  readonly rows: Map<string, CommandRow>;
  readonly changed: Set<string>;
  readonly published: Outcome[];
  readonly outcomes: StoredOutcome[];
  /** In order, once it is on record. */
  readonly steps: (() => void)[];
  /** Queues that may go on. */
  readonly touched: Set<string>;
  /** New ones to keep by device, new rows, and how many of these are to keep. */
  readonly added: Map<string, number>;
  count: number;
  kept: number;
  settledTo: number;
}

/** Take the first of `waiting` that one transaction may write: at least one, at most `max`. */
export function takeSome<T>(waiting: T[], max: number, bytesOf: (one: T) => number): T[] {
  let bytes = 0;
  let count = 0;
  for (const one of waiting) {
    bytes += bytesOf(one);
    if (count === max || (count > 0 && bytes > WRITE_BYTES_MAX)) break;
    count += 1;
  }
  return waiting.splice(0, count);
}

export function makeBatch(
  arrived: readonly Arrived[],
  answers: readonly DeviceAnswer[],
  loads: readonly Load[],
): CommandBatch {
  const made = {
    rows: new Map(),
    changed: new Set<string>(),
    published: [],
    outcomes: [],
    steps: [],
  };
  const queues = { touched: new Set<string>(), added: new Map<string, number>() };
  return { arrived, answers, loads, ...made, ...queues, count: 0, kept: 0, settledTo: 0 };
}

export function keep(rows: Map<string, CommandRow>, found: readonly CommandRow[]): void {
  for (const row of found) rows.set(row.key, row);
}
