/**
 * Fields: the parts of a packet of MQTT, one after another, each checked as it is passed.
 * From: check.ts and publish.ts, with one whole packet.  To: the same: numbers, where texts are.
 * Bound: pure; the packet's own end. MqttError costs the link.
 */
import { isUtf8 } from 'node:buffer';
import { MqttError, malformed, protocolError, REASON } from './reasons.ts';

type Form = 'flag' | 'u16' | 'u32' | 'var' | 'text' | 'bin' | 'pair';

/** Properties of MQTT 5 (its section 2.2.2.2), as far as a device may send them. */
const FORMS: Readonly<Record<number, Form>> = {
  1: 'flag',
  2: 'u32',
  3: 'text',
  8: 'text',
  9: 'bin',
  11: 'var',
  17: 'u32',
  21: 'text',
  22: 'bin',
  23: 'flag',
  24: 'u32',
  25: 'flag',
  31: 'text',
  33: 'u16',
  34: 'u16',
  35: 'u16',
  38: 'pair',
  39: 'u32',
};
const USER_PROPERTY = 38;
const SUBSCRIPTION_ID = 11;
const AUTH_METHOD = 21;
const AUTH_DATA = 22;
/** Receive Maximum, Topic Alias, Maximum Packet Size: 0 is an error. */
const NEVER_ZERO: ReadonlySet<number> = new Set([33, 35, 39]);
const TOPIC_ALIAS = 35;

/** Which may be in which packet. */
export const PROPERTIES_IN = {
  connect: new Set<number>([17, 33, 39, 34, 25, 23, 38, 21, 22]),
  will: new Set<number>([24, 1, 2, 3, 8, 9, 38]),
  publish: new Set<number>([1, 2, 35, 8, 9, 38, 3]),
  puback: new Set<number>([31, 38]),
  subscribe: new Set<number>([SUBSCRIPTION_ID, 38]),
  unsubscribe: new Set<number>([38]),
  disconnect: new Set<number>([17, 31, 38]),
} as const;

/** One for all links: nobody reads two packets at once. */
export const fieldCursor = {
  bytes: Buffer.alloc(0) as Buffer,
  at: 0,
  end: 0,
  /** Parts that were read: what a packet costs goes with them. */
  items: 0,
};

function needBytes(count: number): void {
  if (fieldCursor.at + count > fieldCursor.end)
    throw malformed('a field reaches beyond its packet');
}

export function takeU8(): number {
  needBytes(1);
  const value = fieldCursor.bytes[fieldCursor.at] as number;
  fieldCursor.at += 1;
  return value;
}

export function takeU16(): number {
  needBytes(2);
  const value = fieldCursor.bytes.readUInt16BE(fieldCursor.at);
  fieldCursor.at += 2;
  return value;
}

function u32(): number {
  needBytes(4);
  const value = fieldCursor.bytes.readUInt32BE(fieldCursor.at);
  fieldCursor.at += 4;
  return value;
}

function varint(): number {
  let value = 0;
  for (let read = 0; read < 4; read += 1) {
    const byte = takeU8();
    value += (byte & 0x7f) * 128 ** read;
    if (byte >= 0x80) continue;
    if (byte === 0 && read > 0) throw malformed('a number that is longer than it has to be');
    return value;
  }
  throw malformed('a number of more than four bytes');
}

export function skipBin(): void {
  const length = takeU16();
  needBytes(length);
  fieldCursor.at += length;
}

/** Well-formed UTF-8 without U+0000 (section 1.5.3 of 3.1.1, 1.5.4 of 5). */
export function skipText(): void {
  const length = takeU16();
  needBytes(length);
  const text = fieldCursor.bytes.subarray(fieldCursor.at, fieldCursor.at + length);
  if (!isUtf8(text) || text.includes(0)) throw malformed('a text that is no UTF-8');
  fieldCursor.at += length;
}

export function skipPacketId(): void {
  if (takeU16() !== 0) return;
  throw new MqttError('bad-id', REASON.protocolError, 'a packet identifier of 0');
}

function property(id: number): void {
  fieldCursor.items += 1;
  switch (FORMS[id]) {
    case 'flag':
      if (takeU8() > 1) throw protocolError(`property ${id} is neither 0 nor 1`);
      break;
    case 'u16':
      notZero(id, takeU16());
      break;
    case 'u32':
      notZero(id, u32());
      break;
    case 'var':
      if (varint() === 0) throw protocolError(`property ${id} is 0`);
      break;
    case 'text':
      skipText();
      break;
    case 'bin':
      skipBin();
      break;
    case 'pair':
      skipText();
      skipText();
      break;
    default:
      throw malformed(`an unknown property ${id}`);
  }
}

function notZero(id: number, value: number): void {
  if (value !== 0 || !NEVER_ZERO.has(id)) return;
  if (id !== TOPIC_ALIAS) throw protocolError(`property ${id} is 0`);
  throw new MqttError('unexpected', REASON.topicAlias, 'a topic alias of 0');
}

/**
 * Those of one packet: no other than `allowed`, each but the user's once. `onValue` is told of
 * each, once it is checked: its id, and where its value begins.
 */
export function skipProperties(
  allowed: ReadonlySet<number>,
  onValue?: (id: number, at: number) => void,
): void {
  const length = varint();
  if (length === 0) return;
  needBytes(length);
  const whole = fieldCursor.end;
  fieldCursor.end = fieldCursor.at + length;
  let seen = 0;
  while (fieldCursor.at < fieldCursor.end) {
    const id = varint();
    if (!allowed.has(id)) throw malformed(`a property ${id} that does not belong there`);
    const bit = 2 ** id;
    if (id !== USER_PROPERTY && Math.floor(seen / bit) % 2 === 1) {
      throw protocolError(`property ${id} is there twice`);
    }
    if (id !== USER_PROPERTY) seen += bit;
    const { at } = fieldCursor;
    property(id);
    onValue?.(id, at);
  }
  fieldCursor.end = whole;
  const isLonely = Math.floor(seen / 2 ** AUTH_DATA) % 2 === 1;
  if (isLonely && Math.floor(seen / 2 ** AUTH_METHOD) % 2 === 0) {
    throw protocolError('authentication data without a method');
  }
}

export function checkAtEnd(): void {
  if (fieldCursor.at !== fieldCursor.end) throw malformed('bytes behind the end of a packet');
}

/** Begin with a packet, behind its header. */
export function beginFields(packet: Buffer, bodyAt: number): void {
  fieldCursor.bytes = packet;
  fieldCursor.at = bodyAt;
  fieldCursor.end = packet.length;
  fieldCursor.items = 1;
}
