/**
 * The exact form of a message, by the rule in docs/protocol.md and by nothing else.
 * From: what a test vector's frame means.  To: the frame that an encoder should give.
 * Bound: a second, slow encoder that shares no line with the codec; what it does not know throws.
 */
import { CODE } from '../../src/wire/v1Types.ts';
import type { Meaning } from './vectors.ts';

/** A format byte, and the value big-endian in so many bytes. */
function head(format: number, value: bigint, bytes: number): Buffer {
  const hex = bytes === 0 ? '' : value.toString(16).padStart(bytes * 2, '0');
  return Buffer.concat([Buffer.from([format]), Buffer.from(hex, 'hex')]);
}

function uint(value: number): Buffer {
  if (value < 0x80) return Buffer.from([value]);
  const width = [1, 2, 4, 8].findIndex((bytes) => value < 2 ** (8 * bytes));
  return head(0xcc + width, BigInt(value), 2 ** width);
}

function str(text: string): Buffer {
  const bytes = Buffer.from(text);
  const short = bytes.length < 32;
  const start = short ? head(0xa0 + bytes.length, 0n, 0) : head(0xd9, BigInt(bytes.length), 1);
  return Buffer.concat([start, bytes]);
}

function bin(hex: string): Buffer {
  const bytes = Buffer.from(hex, 'hex');
  const width = [1, 2, 4].findIndex((bytesOfLength) => bytes.length < 2 ** (8 * bytesOfLength));
  return Buffer.concat([head(0xc4 + width, BigInt(bytes.length), 2 ** width), bytes]);
}

const ITEM: Readonly<Record<string, (value: never) => Buffer>> = {
  version: uint,
  deviceId: str,
  token: str,
  keepalive: uint,
  frameBytesMax: uint,
  connectionId: bin,
  time: (value: number) => head(0xcf, BigInt(value), 8),
  id: uint,
  topic: str,
  payload: bin,
  seq: uint,
  at: uint,
  key: bin,
  expiresIn: uint,
  traceparent: str,
  tracestate: str,
  status: uint,
  reason: str,
  retryAfter: uint,
  code: str,
  message: str,
  about: uint,
  will: (value: Meaning) => map(WILL, value),
  delay: uint,
};

const WILL = ['topic', 'payload', 'delay'];

/** The elements of each type and the keys of its map, in the order of the page's tables. */
const ELEMENTS: Readonly<Record<number, readonly (string | readonly string[])[]>> = {
  [CODE.hello]: ['version', 'deviceId', ['options', 'token', 'keepalive', 'frameBytesMax', 'will']],
  [CODE.welcome]: ['connectionId', ['options', 'keepalive', 'frameBytesMax', 'time']],
  [CODE.ping]: [],
  [CODE.pong]: [],
  [CODE.event]: ['id', 'topic', 'payload', ['meta', 'seq', 'at', 'traceparent', 'tracestate']],
  [CODE.ack]: ['id'],
  [CODE.request]: ['id', 'topic', 'payload', ['meta', 'seq', 'at', 'traceparent', 'tracestate']],
  [CODE.reply]: ['id', 'status', 'payload'],
  [CODE.command]: [
    'id',
    'topic',
    'payload',
    ['meta', 'key', 'expiresIn', 'traceparent', 'tracestate'],
  ],
  [CODE.result]: ['id', 'status', 'payload'],
  [CODE.bye]: ['reason', 'retryAfter'],
  [CODE.error]: ['code', 'message', 'id', 'about'],
};

function item(name: string, value: unknown): Buffer {
  const write = ITEM[name];
  if (write === undefined) throw new Error(`no element is called ${name}`);
  return write(value as never);
}

/** A map of those keys that have a value. */
function map(keys: readonly string[], value: Meaning): Buffer {
  const present = keys.filter((key) => value[key] !== undefined);
  const pairs = present.flatMap((key) => [str(key), item(key, value[key])]);
  return Buffer.concat([head(0x80 + present.length, 0n, 0), ...pairs]);
}

/** The whole frame, length included. */
export function exactForm(meaning: Meaning): Buffer {
  const type = Number(meaning.type);
  const items = [uint(type)];
  for (const element of ELEMENTS[type] ?? []) {
    const [name = '', ...keys] = typeof element === 'string' ? [element] : element;
    const value = meaning[name] ?? undefined;
    if (value === undefined) continue;
    const isMap = typeof element !== 'string';
    if (name === 'meta' && type !== CODE.command && Object.keys(value).length === 0) continue;
    items.push(isMap ? map(keys, value as Meaning) : item(name, value));
  }
  const array = Buffer.concat([head(0x90 + items.length, 0n, 0), ...items]);
  return Buffer.concat([Buffer.from(array.length.toString(16).padStart(8, '0'), 'hex'), array]);
}
