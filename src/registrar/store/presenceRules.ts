/**
 * Rules: what a link's beginning or end does to its device's row. Pure.
 * From: judge.ts, one change and one row at a time.  To: the next row and its event, or a link
 * that has to close.
 * Bound: one row per device; a change makes one event or none.
 */
import type { PresenceReason } from '../../base/errors.ts';
import type { SaidWill } from './willRows.ts';

/** What is known of one device. `acceptor` is the incarnation that holds, or held, its link. */
export interface Row {
  readonly device: string;
  /** Rises by 1 with every change. */
  readonly seq: number;
  readonly online: boolean;
  /** The last link's connection id, as UUID text. */
  readonly connection: string;
  readonly acceptor: string;
  /** When the link was accepted: the node's start number, then µs of the machine's own clock. */
  readonly start: number;
  readonly acceptedUs: number;
  /** When it changed last, in ms since 1970: for people only. */
  readonly at: number;
  readonly reason: PresenceReason;
}

/** A link began. */
export interface Up {
  readonly kind: 'up';
  readonly device: string;
  readonly connection: string;
  readonly acceptor: string;
  readonly start: number;
  readonly acceptedUs: number;
  readonly at: number;
  /** A hash: its acceptor has it whole. */
  readonly will?: SaidWill | string;
  /** What the device's earlier link left is due, not cancelled, where its rules know of that. */
  readonly isCleanStart?: boolean;
}

/** A link ended. */
export interface Down {
  readonly kind: 'down';
  readonly device: string;
  readonly connection: string;
  readonly at: number;
  readonly reason: PresenceReason;
  /** Who said so; absent: nobody did. */
  readonly acceptor?: string;
  /** True: its device has said goodbye. Its acceptor waits to hear that this is recorded. */
  readonly will?: SaidWill | true;
}

export type Change = Up | Down;

/** A link, and who holds it. */
export interface HeldLink {
  readonly acceptor: string;
  readonly connection: string;
}

export interface Verdict {
  /** The new row; absent when nothing changes. */
  readonly row?: Row;
  /** The link has moved to another acceptor: `seq` stays, and nobody is told. */
  readonly isMove?: true;
  /** A link that has to close, because another one is the device's. */
  readonly close?: HeldLink;
}

const NOTHING: Verdict = {};

/** What the order of accepts goes by. */
export type Accepted = Pick<Row, 'start' | 'acceptedUs' | 'connection'>;

/** Is the link `a` accepted after the link `b`? Two of one µs are told apart by their ids. */
export function isLater(a: Accepted, b: Accepted): boolean {
  if (a.start !== b.start) return a.start > b.start;
  if (a.acceptedUs !== b.acceptedUs) return a.acceptedUs > b.acceptedUs;
  return a.connection > b.connection;
}

/**
 * The verdict on `change`, for the device's `row` if it has one. A device without one begins above
 * `floor`, the highest `seq` that was ever forgotten.
 */
export function applyRules(
  row: Row | undefined,
  change: Change,
  floor: number,
  hasMoved: HasMoved = () => false,
): Verdict {
  return change.kind === 'up' ? ruleUp(row, change, floor, hasMoved) : ruleDown(row, change);
}

/** Do links move from this acceptor to that one? */
export type HasMoved = (from: string, to: string) => boolean;

function ruleUp(row: Row | undefined, up: Up, floor: number, hasMoved: HasMoved): Verdict {
  const { kind: _kind, will: _will, isCleanStart: _isCleanStart, ...link } = up;
  if (row === undefined) {
    return { row: { ...link, seq: floor + 1, online: true, reason: 'connected' } };
  }
  if (row.connection === up.connection && row.online) {
    // Shown again by a hand-over; or it has moved. What an earlier acceptor says of it is old.
    const { acceptor } = up;
    return hasMoved(row.acceptor, acceptor) ? { row: { ...row, acceptor }, isMove: true } : NOTHING;
  }
  // Accepted before, or ended: an ended connection never rises again.
  if (!isLater(up, row)) return { close: up };
  const next = { ...link, seq: row.seq + 1, online: true } as const;
  if (!row.online) return { row: { ...next, reason: 'connected' } };
  return { row: { ...next, reason: 'takeover' }, close: row };
}

function ruleDown(row: Row | undefined, down: Down): Verdict {
  if (row === undefined || !row.online || row.connection !== down.connection) return NOTHING;
  const { at, reason } = down;
  return { row: { ...row, seq: row.seq + 1, online: false, at, reason } };
}

/** The event of a row, as JSON, with fields besides; order is (`epoch`, `seq`). */
export function eventOf(
  row: Row,
  epoch: number,
  more: Readonly<Record<string, number>> = {},
): string {
  const { device, seq, online, connection, acceptor, at, reason } = row;
  return JSON.stringify({ device, epoch, seq, online, connection, acceptor, at, reason, ...more });
}
