/**
 * Store: what keeps presence, kept commands and wills over the end of every process; the interface
 * and its faults.
 * From: recorder.ts, notifier.ts and queries.ts; durable.ts and outcomes.ts; wills.ts.
 * To: sqlite.ts; a server for several nodes later.
 * Bound: one owner at a time: a second `open` fails with 'locked'. Every read has a limit.
 *
 * test/component/store.test.ts is the contract in tests; each implementation has to pass it.
 */
import type { CommandStore, CommandWrites } from './commandRows.ts';
import type { Row } from './presenceRules.ts';
import type { WillStore, WillWrites } from './willRows.ts';

/** One event of the presence outbox: recorded, and not yet known to be at the broker. */
export interface OutboxEvent {
  /** Rises with every event. */
  readonly id: number;
  readonly device: string;
  readonly online: boolean;
  /** The JSON that is published. */
  readonly body: string;
}

export interface Opened {
  /** The store's time of creation, or of its restore from a backup, in ms since 1970. */
  readonly epoch: number;
  /** The node start number: 1 more whenever `open` names another node. */
  readonly start: number;
  /** The highest `seq` of any row that was forgotten; 0 when none was. */
  readonly floor: number;
  /** The last event ever recorded; 0 when there is none. */
  readonly lastEvent: number;
  /** Events in the presence outbox. */
  readonly outbox: number;
}

/** What one transaction writes. */
export interface Batch {
  /** At most one per device. */
  readonly rows: readonly Row[];
  readonly events: readonly OutboxEvent[];
  /** Events up to this id are at the broker and leave the presence outbox. */
  readonly settledTo: number;
  readonly commands?: CommandWrites;
  readonly wills?: WillWrites;
}

export interface Store extends CommandStore, WillStore {
  /**
   * Open for the node `node`, a name that each start of a node makes anew. Creates what is not
   * there. `now` in ms since 1970. Rejects with a StoreError, and may then be tried again.
   */
  open(node: string, now: number): Promise<Opened>;
  /** The rows of these devices, of those that have one. */
  read(devices: readonly string[]): Promise<Row[]>;
  /** Online rows of one acceptor incarnation, by device id behind `after`. */
  online(acceptor: string, after: string, limit: number): Promise<Row[]>;
  /** Incarnations that online rows name. */
  acceptors(): Promise<string[]>;
  /** All rows, by device id behind `after`. */
  page(after: string, limit: number): Promise<Row[]>;
  /** Events behind `after`, by id. */
  outbox(after: number, limit: number): Promise<OutboxEvent[]>;
  /**
   * One transaction, on disk when this resolves; all of it or, on a StoreError, nothing. Gives
   * the events that the presence outbox has now.
   */
  write(batch: Batch): Promise<number>;
  /** Keep only the newest event of each device. Gives the events that are left. */
  compact(): Promise<number>;
  /**
   * Forget at most `limit` rows that have been offline for longer than `ageMs` of the store's lived
   * time (livedTime.ts), which no clock that people set has a part in. Gives how many, and the
   * highest `seq` of any row ever forgotten.
   */
  forget(ageMs: number, limit: number): Promise<{ forgotten: number; floor: number }>;
  /** Let go of it; what was asked before is done first. */
  close(): Promise<void>;
}

/** Why a store cannot be used. */
export const STORE_FAULTS = [
  'locked',
  'newer',
  'corrupt',
  'read-only',
  'full',
  'held',
  'removed',
  'unusable',
] as const;
export type StoreFault = (typeof STORE_FAULTS)[number];

/** The store failed: costs no link, but presence stands still. One sentence for the operator. */
export class StoreError extends Error {
  readonly fault: StoreFault;

  constructor(fault: StoreFault, sentence: string) {
    super(sentence);
    this.name = 'StoreError';
    this.fault = fault;
  }
}
