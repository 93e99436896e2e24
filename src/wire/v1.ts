/**
 * The device protocol, version 1: messages in MessagePack arrays (docs/protocol.md).
 * From: payloads of frame.ts.  To: typed messages, their shape checked; and messages to frames.
 * Bound: one frame in, one message out; a broken shape throws ProtocolError and costs the link.
 */
import { Packr, RESERVE_START_SPACE } from 'msgpackr';
import { ProtocolError, STATUS_MAX } from '../base/errors.ts';
import { DEVICE_FRAME_BYTES_MIN } from '../base/limits.ts';
import { DEVICE_ID, isTopic } from '../base/names.ts';
import { TRACE_TEXT_BYTES_MAX } from '../base/traceContext.ts';
import { encodeAck, encodeAnswer, PING, PONG } from './busy.ts';
import { FrameReader, HEADER_BYTES } from './frame.ts';
import { ID_MAX, type Message, type Meta, type Will } from './message.ts';
import { Cursor } from './msgpack.ts';
import { kept, room, SLAB_BYTES } from './room.ts';
import { fields } from './v1Fields.ts';
import { CODE } from './v1Types.ts';

export const VERSION = 1;

const EMPTY = Buffer.alloc(0);
const NO_META: Meta = Object.freeze({});
const U32_MAX = 0xffff_ffff;
const CONNECTION_ID_BYTES = 16;
/** What a device takes where a WELCOME does not say: part of the protocol. */
const WELCOME_MISSING = { keepalive: 60, frameBytesMax: 65_536, time: 0 };
const UINT64 = 0xcf;
const TIME_BYTES = 9;

// One cursor serves every link: decoding one payload never waits for anything.
const cursor = new Cursor();
/** Elements of the frame's array that are not yet read. */
let left = 0;
/** The frame's type and id, as soon as they are read; an id that no ERROR can carry is not. */
let typeRead: number | undefined;
let idRead: number | undefined;

/** Is there a next element that is not nil? A nil is read, and counts as missing. */
function present(): boolean {
  if (left === 0) return false;
  left -= 1;
  return !cursor.nil();
}

function need(what: string): void {
  if (!present()) throw new ProtocolError('bad-frame', `${what} is missing`);
}

function readId(idMin: number): number {
  need('id');
  const id = cursor.integer('id');
  if (id >= 0 && id <= ID_MAX) idRead = id;
  if (id < idMin || id > ID_MAX) throw new ProtocolError('bad-id', 'id is out of range');
  return id;
}

function readTopic(): string {
  need('topic');
  return topicHere();
}

function topicHere(): string {
  const topic = cursor.str('topic', 'latin1');
  if (!isTopic(topic)) {
    throw new ProtocolError('bad-topic', 'topic is not 1 to 128 bytes of dotted words');
  }
  return topic;
}

function readStatus(): number {
  need('status');
  return cursor.integerIn('status', 0, STATUS_MAX);
}

/** It is kept until the broker or the registrar has it; its chunk may be of a thousand messages. */
function readPayload(): Buffer {
  return present() ? kept(cursor.blob('payload')) : EMPTY;
}

/** Read a map, handing each key to `take`, which returns false for one that it does not know. */
function readMap(what: string, take: (key: string) => boolean): void {
  if (present()) readPairs(what, 2, take);
}

/** The same, of the map that stands here, at this level of nesting. */
function readPairs(what: string, level: number, take: (key: string) => boolean): void {
  for (let pairs = cursor.map(what); pairs > 0; pairs -= 1) {
    const key = cursor.str('map key');
    if (!take(key)) cursor.skip(level + 1);
  }
}

/** Whatever stands there is no fault of the message: what is no short text counts as ''. */
function readTrace(into: { traceparent?: string; tracestate?: string }, key: string): boolean {
  if (key !== 'traceparent' && key !== 'tracestate') return false;
  if (!cursor.nil()) into[key] = cursor.shortText(TRACE_TEXT_BYTES_MAX, 3);
  return true;
}

function readMeta(): Meta {
  const meta: { seq?: number; at?: number; traceparent?: string; tracestate?: string } = {};
  readMap('meta', (key) => {
    if (key === 'seq' || key === 'at') {
      if (!cursor.nil()) meta[key] = cursor.integerIn(key, 0, Number.MAX_SAFE_INTEGER);
      return true;
    }
    return readTrace(meta, key);
  });
  return meta;
}

function readHello(): Message {
  need('version');
  // Before anything else: another version may have another shape behind it.
  if (cursor.integer('version') !== VERSION) {
    throw new ProtocolError('version', `this server speaks version ${VERSION}`);
  }
  need('deviceId');
  const deviceId = cursor.str('deviceId', 'latin1');
  if (!DEVICE_ID.test(deviceId)) {
    throw new ProtocolError('bad-device-id', 'deviceId is not 1 to 64 of A-Z a-z 0-9 _ -');
  }
  let token: string | undefined;
  let keepalive: number | undefined;
  let frameBytesMax: number | undefined;
  let will: Will | undefined;
  readMap('options', (key) => {
    if (!HELLO_OPTIONS.has(key)) return false;
    if (cursor.nil()) return true;
    if (key === 'token') token = cursor.str('token');
    else if (key === 'will') will = readWill();
    else if (key === 'keepalive') keepalive = cursor.integerIn(key, 0, U32_MAX);
    else frameBytesMax = Math.max(cursor.integerIn(key, 1, U32_MAX), DEVICE_FRAME_BYTES_MIN);
    return true;
  });
  const hello = { type: 'hello', version: VERSION, deviceId, token, keepalive } as const;
  return { ...hello, frameBytesMax, ...(will && { will }) };
}

const HELLO_OPTIONS: ReadonlySet<string> = new Set(['token', 'keepalive', 'frameBytesMax', 'will']);

function readWill(): Will {
  let topic: string | undefined;
  let payload: Buffer = EMPTY;
  let delayMs = 0;
  readPairs('will', 3, (key) => {
    if (key !== 'topic' && key !== 'payload' && key !== 'delay') return false;
    if (cursor.nil()) return true;
    if (key === 'topic') topic = topicHere();
    else if (key === 'payload') payload = cursor.blob('payload');
    else delayMs = cursor.integerIn('delay', 0, U32_MAX);
    return true;
  });
  if (topic === undefined) throw new ProtocolError('bad-frame', 'topic of the will is missing');
  return { topic, payload, delayMs };
}

function readWelcome(): Message {
  need('connectionId');
  const connectionId = cursor.blob('connectionId');
  if (connectionId.length !== CONNECTION_ID_BYTES) {
    throw new ProtocolError('bad-frame', 'connectionId is not 16 bytes');
  }
  const welcome = { ...WELCOME_MISSING };
  readMap('options', (key) => {
    if (key !== 'keepalive' && key !== 'frameBytesMax' && key !== 'time') return false;
    if (!cursor.nil()) welcome[key] = cursor.integerIn(key, 0, Number.MAX_SAFE_INTEGER);
    return true;
  });
  return { type: 'welcome', connectionId, ...welcome };
}

function readCommand(): Message {
  const id = readId(1);
  const topic = readTopic();
  const payload = readPayload();
  let key: Buffer | undefined;
  let expiresIn: number | undefined;
  const trace: { traceparent?: string; tracestate?: string } = {};
  readMap('meta', (name) => {
    if (name !== 'key' && name !== 'expiresIn') return readTrace(trace, name);
    if (cursor.nil()) return true;
    // Of any other kind it is the device's to refuse, by a RESULT.
    if (name === 'key') key = cursor.binOnly(3);
    else expiresIn = cursor.integerIn('expiresIn', 0, Number.MAX_SAFE_INTEGER);
    return true;
  });
  return { type: 'command', id, topic, payload, key, expiresIn, ...trace };
}

function readBye(): Message {
  const reason = present() ? cursor.str('reason') : '';
  const retryAfter = present() ? cursor.integerIn('retryAfter', 0, U32_MAX) : undefined;
  return { type: 'bye', reason, retryAfter };
}

function readError(): Message {
  const code = present() ? cursor.str('code') : '';
  const message = present() ? cursor.str('message') : '';
  const id = present() ? cursor.integerIn('id', 0, U32_MAX) : undefined;
  const error = { type: 'error', code, message, id } as const;
  return present() ? { ...error, about: cursor.integer('about') } : error;
}

function readEvent(): Message {
  const id = readId(0);
  const topic = readTopic();
  const payload = readPayload();
  return { type: 'event', id, topic, payload, meta: left > 0 ? readMeta() : NO_META };
}

function readRequest(): Message {
  const id = readId(1);
  const topic = readTopic();
  const payload = readPayload();
  return { type: 'request', id, topic, payload, meta: left > 0 ? readMeta() : NO_META };
}

function readMessage(type: number): Message {
  switch (type) {
    case CODE.hello:
      return readHello();
    case CODE.welcome:
      return readWelcome();
    case CODE.ping:
      return { type: 'ping' };
    case CODE.pong:
      return { type: 'pong' };
    case CODE.event:
      return readEvent();
    case CODE.ack:
      return { type: 'ack', id: readId(1) };
    case CODE.request:
      return readRequest();
    case CODE.reply:
      return { type: 'reply', id: readId(1), status: readStatus(), payload: readPayload() };
    case CODE.command:
      return readCommand();
    case CODE.result:
      return { type: 'result', id: readId(1), status: readStatus(), payload: readPayload() };
    case CODE.bye:
      return readBye();
    case CODE.error:
      return readError();
    default:
      throw new ProtocolError('unexpected', `unknown message type ${type}`);
  }
}

/**
 * One payload as a message of either direction, its shape checked.
 * Throws ProtocolError: `bad-frame`, `bad-id`, `bad-topic`, `bad-device-id`, `version` or
 * `unexpected` (a type that version 1 does not know); it names the frame whose id was read.
 * `payload` is a view into `bytes`, or a copy where that would hold more than twice its memory.
 */
export function decode(bytes: Buffer): Message {
  cursor.reset(bytes);
  typeRead = undefined;
  idRead = undefined;
  try {
    left = cursor.array();
    need('type');
    typeRead = cursor.integer('type');
    const message = readMessage(typeRead);
    for (; left > 0; left -= 1) cursor.skip(2);
    if (!cursor.isAtEnd) throw new ProtocolError('bad-frame', 'bytes behind the array');
    return message;
  } catch (error) {
    throw error instanceof ProtocolError ? error.about(typeRead, idRead) : error;
  } finally {
    cursor.release();
  }
}

const packr = new Packr({ useRecords: false, variableMapSize: true });

function encodeOther(message: Message): Buffer {
  const frame = packr.pack(fields(message), RESERVE_START_SPACE | HEADER_BYTES);
  frame.writeUInt32BE(frame.length - HEADER_BYTES, 0);
  // The time stands last; msgpackr has int64 for it, the protocol promises uint64.
  if (message.type === 'welcome') frame[frame.length - TIME_BYTES] = UINT64;
  if (frame.buffer.byteLength <= SLAB_BYTES) return frame;
  // msgpackr's buffer has grown with a long message, of any link or of the registrar's stream.
  const own = room(frame.length);
  frame.copy(own);
  return own;
}

/**
 * One message as a whole frame, length included. It must not be written to, and holds about its
 * own memory, for however long it waits.
 */
export function encode(message: Message): Buffer {
  switch (message.type) {
    case 'ping':
      return PING;
    case 'pong':
      return PONG;
    case 'ack':
      return encodeAck(message.id);
    case 'reply':
    case 'result':
      return encodeAnswer(CODE[message.type], message.id, message.status, message.payload);
    default:
      return encodeOther(message);
  }
}

/** The bytes of one link, cut anywhere, as messages of either direction. */
export class V1Reader {
  /** Bytes of the message that `next` gave last, its frame's length included. */
  bytes = 0;
  /** Its elements: all that was walked. */
  elements = 0;
  readonly #frames: FrameReader;

  constructor(frameBytesMax: number) {
    this.#frames = new FrameReader(frameBytesMax);
  }

  /** Largest frame that is read, in bytes. */
  get frameBytesMax(): number {
    return this.#frames.frameBytesMax;
  }

  set frameBytesMax(bytes: number) {
    this.#frames.frameBytesMax = bytes;
  }

  push(chunk: Buffer): void {
    this.#frames.push(chunk);
  }

  /** The next message, or `undefined` when it is incomplete. Throws as `decode` does. */
  next(): Message | undefined {
    const payload = this.#frames.next();
    if (payload === undefined) return undefined;
    const message = decode(payload);
    this.bytes = HEADER_BYTES + payload.length;
    this.elements = cursor.items;
    return message;
  }

  get heldBytes(): number {
    return this.#frames.heldBytes;
  }

  /** Bytes not yet read, as a copy. */
  protected rest(): Buffer {
    return this.#frames.rest();
  }

  drop(): void {
    this.#frames.drop();
  }
}
