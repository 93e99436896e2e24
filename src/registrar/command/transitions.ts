/**
 * Transitions: the next state of a kept command that arrives, is answered, or is due. Pure.
 * From: durable.ts, with the row as the store has it.
 * To: the next row, and the outcome for its sender.
 * Bound: a row that ended stays as it ended: never two different final outcomes.
 */
import type { Expiry, Refusal } from '../../base/errors.ts';
import type { Limits } from '../../base/limits.ts';
import { type CommandRow, isOver, type Outcome } from '../store/commandRows.ts';
import { type Command, outcomeOf } from './command.ts';
import type { Delivery } from './effects.ts';

/** What a device, or its acceptor, reports about a command. */
export type DeviceAnswer =
  | { readonly what: 'taken'; readonly key: string }
  | {
      readonly what: 'result';
      readonly key: string;
      readonly status: number;
      readonly payload: Buffer;
    }
  | {
      readonly what: 'too-long';
      readonly key: string;
      /** Its device may have it, from a link that took longer ones. */
      readonly mayHave: boolean;
    };

export interface Transition {
  readonly row: CommandRow;
  readonly outcome: Outcome;
}

/** What is known when a new command arrives. */
export interface Meeting {
  /** What is known under its key. */
  readonly row: CommandRow | undefined;
  /** Commands that have not ended: of its device, and of all. */
  readonly ofDevice: number;
  readonly ofAll: number;
  /** Its device has a link, or had one. */
  readonly isDeviceKnown: boolean;
  readonly refusal: Refusal | undefined;
}

/** Keep it; it is one that we have; or the reason of a refusal. */
export type Arrival = 'keep' | 'repeat' | Refusal;

export function arrivalOf(
  command: Command,
  { isRedelivered }: Delivery,
  { row, ofDevice, ofAll, isDeviceKnown, refusal }: Meeting,
  now: number,
  limits: Limits,
): Arrival {
  // First: a known command is not decided again, however late the broker delivers it again.
  // Unless redelivered, one without a message_id is a new command, even if it looks the same.
  if (row && (isRedelivered || command.isNamed)) return 'repeat';
  if (refusal) return refusal;
  if (Number(command.deadline) <= now) return 'past-deadline';
  if (!isDeviceKnown) return 'unknown-device';
  if (ofDevice >= limits.commandsPerDeviceMax) return 'device-full';
  return ofAll >= limits.commandsKeptMax ? 'full' : 'keep';
}

/** Bytes that are the row's own, and do not keep alive what they came with. */
function ownBytes(payload: Buffer): Buffer {
  return Buffer.from(new Uint8Array(payload).buffer);
}

/** A new row. */
export function rowOf(id: number, key: string, command: Command, now: number): CommandRow {
  const { device, topic, payload, deadline = now, replyTo, correlationId, context } = command;
  const to = { replyTo, correlationId, ...(context && { context }) };
  const rest = { state: 'waiting', status: 0, reason: '', at: now } as const;
  return { id, key, device, topic, payload: ownBytes(payload), due: deadline, ...to, ...rest };
}

/** A refusal is recorded too: decided again, the same command might be accepted. */
export function refusedTransition(row: CommandRow, reason: Refusal): Transition {
  const outcome = outcomeOf({ ...row, isKept: true }, 'refused', { reason });
  return { row: { ...row, payload: outcome.payload, state: 'refused', reason }, outcome };
}

/** Undefined: it changes nothing, for the command has ended, or has been ACKed before. */
export function answerTransition(
  row: CommandRow | undefined,
  answer: DeviceAnswer,
  now: number,
): Transition | undefined {
  if (row === undefined || isOver(row.state)) return undefined;
  const command = { ...row, isKept: true };
  if (answer.what === 'taken') {
    if (row.state === 'taken') return undefined;
    return { row: { ...row, state: 'taken', at: now }, outcome: outcomeOf(command, 'delivered') };
  }
  if (answer.what === 'too-long') {
    const end = answer.mayHave ? 'expired' : 'refused';
    const reason: Expiry | Refusal = answer.mayHave ? 'no-answer' : 'too-long';
    const outcome = outcomeOf(command, end, { reason });
    return { row: { ...row, state: end, reason, at: now }, outcome };
  }
  const { status } = answer;
  const payload = ownBytes(answer.payload);
  const outcome = outcomeOf(command, 'result', { status, payload });
  return { row: { ...row, state: 'result', status, payload, at: now }, outcome };
}

/** The store says that it is due. `wasSent`: its device may have it. */
export function dueTransition(
  row: CommandRow,
  wasSent: boolean,
  now: number,
): Transition | undefined {
  if (isOver(row.state)) return undefined;
  let reason: Expiry = wasSent ? 'no-answer' : 'not-sent';
  if (row.state === 'taken') reason = 'no-result';
  const outcome = outcomeOf({ ...row, isKept: true }, 'expired', { reason });
  return { row: { ...row, state: 'expired', reason, at: now }, outcome };
}

/** The final outcome of a row, for one more sender of it; undefined while it has none. */
export function endOf(row: CommandRow, to: Command): Outcome | undefined {
  const { state, status, reason, payload } = row;
  if (state === 'waiting' || state === 'taken') return undefined;
  const more = state === 'result' ? { status, payload } : { reason };
  return outcomeOf({ ...to, key: row.key }, state, more);
}
