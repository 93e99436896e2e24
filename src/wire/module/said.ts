/**
 * Said: what a module's `read` gave, checked and taken over as messages of ours.
 * From: moduleProtocol.ts, frame by frame.  To: the same.
 * Bound: SAID_MAX of one frame, whose payloads together have `bytesMax` bytes; each field is read
 * once, and nothing that the module gave is kept but functions and views of bytes.
 */
import { knownStatus, ProtocolError, STATUS, STATUS_MAX } from '../../base/errors.ts';
import { DEVICE_ID, isTopic } from '../../base/names.ts';
import type { Meta } from '../message.ts';
import type { Received } from '../protocol.ts';
import { room } from '../room.ts';
import { hushPromise, NonsenseError } from './fault.ts';
import type { DeviceRequest } from './moduleTypes.ts';

/** Of one frame. */
export const SAID_MAX = 64;
const TOKEN_BYTES_MAX = 8_192;
const KEEPALIVE_MAX_SECONDS = 0xffff_ffff;
const NUMBER_MAX = 0xffff_ffff;
const NO_BYTES = Buffer.alloc(0);
const NO_META: Meta = Object.freeze({});

type Reply = DeviceRequest['reply'];

/** A message, and how its device is answered. */
export interface SaidMessage {
  readonly message: Received;
  /** EVENT: its acknowledgement. */
  readonly answer?: Buffer;
  /** REQUEST: what makes the answer. */
  readonly reply?: Reply;
}

/** Nothing that a frame said: it is still a sign of life, and counts as a message. */
const NOTHING: SaidMessage = Object.freeze({
  message: Object.freeze({ type: 'aside', what: 'nothing', answer: undefined }),
});

interface Sizes {
  readonly bytesMax: number;
  /** Of a hello that says nothing of it, in seconds. */
  readonly keepalive: number | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

/** Throws NonsenseError, ProtocolError (a name that cannot be one), or what a getter throws. */
export function takeSaid(said: unknown, sizes: Sizes): readonly SaidMessage[] {
  hushPromise(said, 2);
  if (said === undefined || said === null) return [NOTHING];
  if (!Array.isArray(said)) return [takeOne(said, sizes)];
  const { length } = said;
  if (length === 0) return [NOTHING];
  if (length > SAID_MAX) {
    throw new NonsenseError(`gave ${length} messages of one frame; at most ${SAID_MAX} are taken`);
  }
  const taken: SaidMessage[] = [];
  let bytes = 0;
  for (let at = 0; at < length; at += 1) {
    const one = takeOne(said[at], sizes);
    bytes += payloadBytesOf(one);
    if (bytes > sizes.bytesMax) throw tooLong(bytes, sizes.bytesMax);
    taken.push(one);
  }
  return taken;
}

export function payloadBytesOf({ message }: SaidMessage): number {
  return 'payload' in message ? message.payload.length : 0;
}

function takeOne(said: unknown, sizes: Sizes): SaidMessage {
  if (typeof said !== 'object' || said === null) {
    throw new NonsenseError(`gave ${kindOf(said)} where a message is expected`);
  }
  const fields = said as Fields;
  const { type } = fields;
  switch (type) {
    case 'login':
      return { message: hello(fields, sizes) };
    case 'event':
      return event(fields, sizes.bytesMax);
    case 'request':
      return request(fields, sizes.bytesMax);
    case 'taken':
      return { message: { type: 'ack', id: numberOf(fields) } };
    case 'result':
      return { message: result(fields, sizes.bytesMax) };
    case 'alive':
      return { message: alive(fields, sizes.bytesMax) };
    case 'bye':
      return { message: { type: 'bye', reason: '', retryAfter: undefined } };
    default:
      throw new NonsenseError('gave a message whose type is none that there is');
  }
}

function hello({ deviceId, token, keepaliveSeconds }: Fields, { keepalive }: Sizes): Received {
  if (typeof deviceId !== 'string') throw new NonsenseError('gave a login without a deviceId');
  if (!DEVICE_ID.test(deviceId)) {
    throw new ProtocolError('bad-device-id', 'deviceId is not 1 to 64 of A-Z a-z 0-9 _ -');
  }
  if (token !== undefined && (typeof token !== 'string' || token.length > TOKEN_BYTES_MAX)) {
    throw new NonsenseError('gave a token that is no text, or too long');
  }
  const wish = keepaliveSeconds === undefined ? keepalive : keepaliveSeconds;
  if (wish !== undefined && !isWhole(wish, 0, KEEPALIVE_MAX_SECONDS)) {
    throw new NonsenseError('gave keepaliveSeconds that are no whole number');
  }
  const asked = { keepalive: wish, token: token as string | undefined };
  return { type: 'hello', deviceId, ...asked, frameBytesMax: undefined };
}

function event(fields: Fields, bytesMax: number): SaidMessage {
  const message = { type: 'event', id: 0, ...reported(fields, bytesMax) } as const;
  const { ack } = fields;
  return isNothing(ack) ? { message } : { message, answer: ownBytes(ack, bytesMax) };
}

function alive({ answer }: Fields, bytesMax: number): Received {
  const bytes = isNothing(answer) ? undefined : ownBytes(answer, bytesMax);
  return { type: 'aside', what: 'alive', answer: bytes };
}

function request(fields: Fields, bytesMax: number): SaidMessage {
  const { reply } = fields;
  if (typeof reply !== 'function') throw new NonsenseError('gave a request without a reply');
  const message = { type: 'request', id: 0, ...reported(fields, bytesMax) } as const;
  return { message, reply: (status, payload) => (reply as Reply).call(fields, status, payload) };
}

function reported({ topic, payload, seq, at }: Fields, bytesMax: number) {
  if (typeof topic !== 'string') throw new NonsenseError('gave a message without a topic');
  if (!isTopic(topic)) {
    throw new ProtocolError('bad-topic', 'topic is not 1 to 128 bytes of dotted words');
  }
  return { topic, payload: contentOf(payload, bytesMax), meta: metaOf(seq, at) };
}

function metaOf(seq: unknown, at: unknown): Meta {
  if (seq === undefined && at === undefined) return NO_META;
  for (const value of [seq, at]) {
    if (value !== undefined && !isWhole(value, 0, Number.MAX_SAFE_INTEGER)) {
      throw new NonsenseError('gave seq or at that is no whole number');
    }
  }
  return {
    ...(seq === undefined ? {} : { seq: seq as number }),
    ...(at === undefined ? {} : { at: at as number }),
  };
}

function result(fields: Fields, bytesMax: number): Received {
  const { status = STATUS.ok, payload } = fields;
  if (!isWhole(status, 0, STATUS_MAX)) throw new NonsenseError('gave a status that is none');
  const content = contentOf(payload, bytesMax);
  return { type: 'result', id: numberOf(fields), status: knownStatus(status), payload: content };
}

/** A command's number; 0: it gave none. */
function numberOf({ number }: Fields): number {
  if (number === undefined) return 0;
  if (!isWhole(number, 1, NUMBER_MAX)) {
    throw new NonsenseError('gave the number of a command that is none');
  }
  return number;
}

function contentOf(payload: unknown, bytesMax: number): Buffer {
  if (isNothing(payload)) return NO_BYTES;
  if (typeof payload === 'string' || payload instanceof Uint8Array) {
    return ownBytes(payload, bytesMax);
  }
  if (typeof payload !== 'object') {
    throw new NonsenseError(`gave ${kindOf(payload)} as payload: bytes, text or an object is one`);
  }
  const text: unknown = JSON.stringify(payload);
  if (typeof text !== 'string')
    throw new NonsenseError('gave a payload of which JSON makes nothing');
  return ownBytes(text, bytesMax);
}

/** In memory of their own, which about nobody else holds. */
export function ownBytes(value: unknown, bytesMax: number): Buffer {
  if (typeof value === 'string') {
    const bytes = Buffer.byteLength(value);
    if (bytes > bytesMax) throw tooLong(bytes, bytesMax);
    const text = room(bytes);
    text.write(value);
    return text;
  }
  if (!(value instanceof Uint8Array)) {
    hushPromise(value);
    throw new NonsenseError(`gave ${kindOf(value)} where bytes or text are expected`);
  }
  const { length } = value;
  if (length > bytesMax) throw tooLong(length, bytesMax);
  const copy = room(length);
  copy.set(value);
  return copy;
}

function tooLong(bytes: number, bytesMax: number): NonsenseError {
  return new NonsenseError(`gave ${bytes} bytes where at most ${bytesMax} are taken`);
}

export function isNothing(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

function isWhole(value: unknown, min: number, max: number): value is number {
  return Number.isInteger(value) && Number(value) >= min && Number(value) <= max;
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  return Array.isArray(value) ? 'a list' : `a value of type ${typeof value}`;
}
