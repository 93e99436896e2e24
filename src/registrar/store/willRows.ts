/**
 * Wills in the store: what devices want to be published when their links end without a goodbye,
 * and those that are to be published. The shapes, and nothing else.
 * From: wills.ts, within the transactions of recorder.ts.  To: sqliteWills.ts.
 * Bound: one will a link; `willsBytesMax` bytes of wills, those to be published included.
 */
import type { PresenceReason } from '../../base/errors.ts';

/** Whose rules say what a takeover and a return do to it; '': Owsla's own. */
export type WillRules = '' | 'mqtt';

/** What is known of a will, without its payload. */
export interface WillHead {
  readonly device: string;
  /** The link that left it: that of the device's row; or, while it waits, an earlier one too. */
  readonly connection: string;
  readonly hash: string;
  readonly delayMs: number;
  readonly rules: WillRules;
  /** Its link has ended, or is to end, and the delay runs. */
  readonly isWaiting: boolean;
}

/** A will, as its device has said it. */
export interface SaidWill extends Pick<WillHead, 'hash' | 'delayMs' | 'rules'> {
  readonly topic: string;
  readonly payload: Buffer;
}

/** The same, as it is kept with its link's row. */
export interface StoredWill extends SaidWill, Pick<WillHead, 'device' | 'connection'> {}

/** Why and when its link ended; `at` in ms since 1970, for people. */
export interface WillEnding {
  readonly connection: string;
  readonly reason: PresenceReason;
  readonly at: number;
}

/** One change; they are done in order. */
export type WillChange =
  | { readonly what: 'keep'; readonly will: StoredWill }
  | { readonly what: 'drop'; readonly connection: string }
  /** Its delay, which is so long now, runs from this transaction on. */
  | ({ readonly what: 'wait'; readonly delayMs: number } & WillEnding)
  /** To the outbox, as the event `id`. One that waits already keeps its reason and time. */
  | ({ readonly what: 'publish'; readonly id: number } & WillEnding);

/** A will to be published: recorded, and not yet known to be at the broker. */
export interface WillEvent extends WillEnding {
  /** Rises with every one. */
  readonly id: number;
  readonly device: string;
  readonly topic: string;
  readonly payload: Buffer;
}

/** What one transaction writes. */
export interface WillWrites {
  readonly changes: readonly WillChange[];
  /** Events up to this id are at the broker, and leave the store. */
  readonly settledTo: number;
}

/** What the store holds of wills. */
export interface WillFigures {
  /** Of links that are open, as far as is recorded, and of those that wait. */
  readonly kept: number;
  readonly waiting: number;
  readonly outbox: number;
  /** The last event that there is, or was since the store was opened. */
  readonly lastEvent: number;
  readonly bytes: number;
  /** Not kept since the store was opened, for there was no room. */
  readonly full: number;
}

/** Those whose delay is over, in the store's lived time; and when the next one's is, in ms. */
export interface DueWills {
  readonly due: readonly Pick<WillHead, 'device' | 'connection'>[];
  readonly nextMs?: number;
}

/** The wills' part of the store. Every read has a limit but the figures. */
export interface WillStore {
  willFigures(): Promise<WillFigures>;
  /** Those of these devices that have one. */
  readWills(devices: readonly string[]): Promise<WillHead[]>;
  dueWills(limit: number): Promise<DueWills>;
  /** Events behind `after`, by id. */
  willOutbox(after: number, limit: number): Promise<WillEvent[]>;
}
