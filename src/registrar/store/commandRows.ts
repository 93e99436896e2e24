/**
 * Rows: what the store keeps of commands and their outcomes; the shapes, and nothing else.
 * From: durable.ts, outcomes.ts.  To: the store (store.ts), in the same transactions as presence.
 * Bound: `commandsPerDeviceMax` and `commandsKeptMax` commands that have not ended; ended ones are
 * forgotten after `commandRememberMs`.
 */
import type { OutcomeType } from '../../base/errors.ts';
import type { TraceContext } from '../../base/traceContext.ts';

/** `waiting`: may be sent (again). `taken`: ACKed, never sent again. The others are its end. */
export type CommandState = 'waiting' | 'taken' | 'result' | 'expired' | 'refused';

/** One kept command. */
export interface CommandRow {
  /** Rises with every command: a device gets its commands in this order. */
  readonly id: number;
  /** What the device knows it by: 16 bytes, in hexadecimal. */
  readonly key: string;
  readonly device: string;
  readonly topic: string;
  /** The command's; of one that ended with a RESULT, that one's. */
  readonly payload: Buffer;
  /** Its sender's deadline, in ms since 1970. */
  readonly due: number;
  /** Where its outcomes go; '': nowhere. */
  readonly replyTo: string;
  readonly correlationId: string;
  /** Of its sender's span; what it gets of its outcomes too. */
  readonly context?: TraceContext;
  readonly state: CommandState;
  /** Of the RESULT. */
  readonly status: number;
  /** Why it was refused or expired. */
  readonly reason: string;
  /** When its state changed, in ms since 1970: for people only. */
  readonly at: number;
}

/** An outcome, as published to a command's sender. */
export interface Outcome {
  readonly type: OutcomeType;
  readonly device: string;
  readonly key: string;
  readonly replyTo: string;
  readonly correlationId: string;
  readonly context?: TraceContext;
  readonly status: number;
  readonly reason: string;
  readonly payload: Buffer;
  /** It outlives the broker's restart, as its command did. */
  readonly isKept: boolean;
}

/** An outcome of a kept command, recorded and not yet known to be at the broker. */
export interface StoredOutcome extends Outcome {
  /** Rises with every outcome. */
  readonly id: number;
}

/** What one transaction writes. */
export interface CommandWrites {
  /** New rows, and rows as they are now. */
  readonly rows: readonly CommandRow[];
  readonly outcomes: readonly StoredOutcome[];
  /** Outcomes up to this id are at the broker, and leave the store. */
  readonly settledTo: number;
  /** Rows that ended this much of the store's lived time ago are forgotten, a page of them. */
  readonly forgetAgeMs?: number;
}

/** What an earlier process left. */
export interface OpenCommands {
  /** Devices with commands that have not ended: how many wait, how many have been taken. */
  readonly devices: readonly { device: string; waiting: number; taken: number }[];
  readonly lastCommand: number;
  readonly lastOutcome: number;
}

/** The commands' part of the store. Every read has a limit but the first, once per process. */
export interface CommandStore {
  openCommands(): Promise<OpenCommands>;
  /** Those of these keys that are known, ended ones too. */
  findCommands(keys: readonly string[]): Promise<CommandRow[]>;
  /** For each device at most `limit` waiting commands behind the id `after`, in order. */
  waitingCommands(
    of: readonly { device: string; after: number; limit: number }[],
  ): Promise<CommandRow[]>;
  /**
   * Commands that have not ended and are past their deadline at `now`, the earliest first; then
   * those that were taken `resultMs` of the store's lived time ago.
   */
  dueCommands(now: number, resultMs: number, limit: number): Promise<CommandRow[]>;
  /** Outcomes behind `after`, by id. */
  outcomes(after: number, limit: number): Promise<StoredOutcome[]>;
}

/** Has it ended? */
export function isOver(state: CommandState): boolean {
  return state !== 'waiting' && state !== 'taken';
}
