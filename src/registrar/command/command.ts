/**
 * Command: one message of a backend, judged by itself. Pure.
 * From: the broker's delivery.  To: a Command, or the reason why it is refused; never an error,
 * whatever its sender wrote.
 * Bound: `commandBytesMax` of payload, `commandAgeMaxMs` for the deadline.
 */
import { createHash } from 'node:crypto';
import type { OutcomeType, Refusal } from '../../base/errors.ts';
import type { Limits } from '../../base/limits.ts';
import { DEVICE_ID, isTopic } from '../../base/names.ts';
import { type TraceContext, type TraceDrop, traceContextOf } from '../../base/traceContext.ts';
import type { AmqpMessage } from '../../broker/amqp.ts';
import { BROKEN, type Headers } from '../../broker/content.ts';
import type { Outcome } from '../store/commandRows.ts';

export interface Command {
  /** What the device knows it by: 16 bytes, in hexadecimal. The same message has the same one. */
  readonly key: string;
  /** Its sender gave it a message_id: whenever that comes again, it is this command. */
  readonly isNamed: boolean;
  readonly device: string;
  readonly topic: string;
  readonly payload: Buffer;
  readonly isKept: boolean;
  /** In ms since 1970. A kept one has it. */
  readonly deadline: number | undefined;
  /** Where its outcomes go; '': nowhere. */
  readonly replyTo: string;
  readonly correlationId: string;
  /** Of its sender's span. */
  readonly context?: TraceContext | undefined;
}

/** The `delivery_mode` of a command that is to be kept. */
export const KEPT = 2;
const KEY_BYTES = 16;
const EMPTY = Buffer.alloc(0);

interface Properties {
  readonly type?: string;
  readonly deliveryMode?: number;
  readonly messageId?: string;
  readonly correlationId?: string;
  readonly replyTo?: string;
  readonly timestamp?: number | string;
  readonly headers?: Headers;
}

/** The command in `message`, and why it is refused, if it is, whatever the state of its device. */
export function readCommand(
  { fields, properties, content }: AmqpMessage,
  limits: Limits,
  now: number,
  onTraceDrop: (why: TraceDrop) => void = () => {},
): { command: Command; refusal?: Refusal } {
  const given = properties as Properties;
  const { type: topic = '', deliveryMode, messageId = '' } = given;
  const { correlationId = '', replyTo = '', headers = {} } = given;
  const device = fields.routingKey;
  const isKept = deliveryMode === KEPT;
  const deadline = Number.isSafeInteger(headers.deadline) ? Number(headers.deadline) : undefined;
  const isNamed = messageId !== '';
  // Without a name it is known by all of it, which is the same when the broker delivers it again.
  const name = isNamed ? [messageId] : [replyTo, correlationId, topic, deadline, given.timestamp];
  const key = keyOf([device, isNamed, ...name], isNamed ? EMPTY : content);
  const payload = content;
  const to = { replyTo, correlationId };
  const context = traceContextOf(headers.traceparent, headers.tracestate, onTraceDrop);
  const command = { key, isNamed, device, topic, payload, isKept, deadline, ...to, context };
  const hasDeadline = headers.deadline !== undefined || headers === BROKEN;
  const isFar = deadline !== undefined && deadline > now + limits.commandAgeMaxMs;
  let refusal: Refusal | undefined;
  if (!DEVICE_ID.test(device)) refusal = 'bad-device';
  else if (!isTopic(topic)) refusal = 'bad-topic';
  else if (content.length > limits.commandBytesMax) refusal = 'too-long';
  else if (isFar || (deadline === undefined && (isKept || hasDeadline))) refusal = 'bad-deadline';
  return refusal === undefined ? { command } : { command, refusal };
}

function keyOf(name: readonly unknown[], content: Buffer): string {
  const hash = createHash('sha256').update(JSON.stringify(name)).update(content);
  return hash.digest('hex').slice(0, KEY_BYTES * 2);
}

/** An outcome of `command` for its sender. */
export function outcomeOf(
  command: Pick<Command, 'device' | 'key' | 'replyTo' | 'correlationId' | 'isKept' | 'context'>,
  type: OutcomeType,
  more: Partial<Pick<Outcome, 'status' | 'reason' | 'payload'>> = {},
): Outcome {
  const { device, key, replyTo, correlationId, isKept, context } = command;
  const to = { device, key, replyTo, correlationId, isKept, ...(context && { context }) };
  return { type, ...to, status: 0, reason: '', payload: EMPTY, ...more };
}
