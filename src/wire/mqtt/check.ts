/**
 * Check: is this packet what the standard says, byte by byte? What mqtt-packet lets pass is refused
 * here, before it parses: text that is no UTF-8, properties that do not belong or come twice,
 * lengths that do not meet, numbers out of range.
 * From: mqttProtocol.ts, one whole packet.  To: parser.ts, if nothing is thrown.
 * Bound: pure; the packet's own length. MqttError costs the link.
 */
import { isUtf8 } from 'node:buffer';
import { KIND } from './packetReader.ts';
import { MqttError, malformed, protocolError, REASON } from './reasons.ts';

/** Of MQTT: 4 is 3.1.1. */
export type MqttLevel = 4 | 5;

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

const IN_CONNECT: ReadonlySet<number> = new Set([17, 33, 39, 34, 25, 23, 38, 21, 22]);
const IN_WILL: ReadonlySet<number> = new Set([24, 1, 2, 3, 8, 9, 38]);
const IN_PUBLISH: ReadonlySet<number> = new Set([1, 2, 35, 8, 9, 38, 3]);
const IN_PUBACK: ReadonlySet<number> = new Set([31, 38]);
const IN_SUBSCRIBE: ReadonlySet<number> = new Set([SUBSCRIPTION_ID, 38]);
const IN_UNSUBSCRIBE: ReadonlySet<number> = new Set([38]);
const IN_DISCONNECT: ReadonlySet<number> = new Set([17, 31, 38]);

/** One for all links: nobody reads two packets at once. */
const cursor = {
  bytes: Buffer.alloc(0) as Buffer,
  at: 0,
  end: 0,
  /** Parts that were read: what a packet costs goes with them. */
  items: 0,
};

function need(count: number): void {
  if (cursor.at + count > cursor.end) throw malformed('a field reaches beyond its packet');
}

function u8(): number {
  need(1);
  const value = cursor.bytes[cursor.at] as number;
  cursor.at += 1;
  return value;
}

function u16(): number {
  need(2);
  const value = cursor.bytes.readUInt16BE(cursor.at);
  cursor.at += 2;
  return value;
}

function u32(): number {
  need(4);
  const value = cursor.bytes.readUInt32BE(cursor.at);
  cursor.at += 4;
  return value;
}

function varint(): number {
  let value = 0;
  for (let read = 0; read < 4; read += 1) {
    const byte = u8();
    value += (byte & 0x7f) * 128 ** read;
    if (byte >= 0x80) continue;
    if (byte === 0 && read > 0) throw malformed('a number that is longer than it has to be');
    return value;
  }
  throw malformed('a number of more than four bytes');
}

function skipBin(): void {
  const length = u16();
  need(length);
  cursor.at += length;
}

/** Well-formed UTF-8 without U+0000 (section 1.5.3 of 3.1.1, 1.5.4 of 5). */
function skipText(): void {
  const length = u16();
  need(length);
  const text = cursor.bytes.subarray(cursor.at, cursor.at + length);
  if (!isUtf8(text) || text.includes(0)) throw malformed('a text that is no UTF-8');
  cursor.at += length;
}

function packetId(): void {
  if (u16() !== 0) return;
  throw new MqttError('bad-id', REASON.protocolError, 'a packet identifier of 0');
}

function property(id: number): void {
  cursor.items += 1;
  switch (FORMS[id]) {
    case 'flag':
      if (u8() > 1) throw protocolError(`property ${id} is neither 0 nor 1`);
      break;
    case 'u16':
      notZero(id, u16());
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

/** Those of one packet: no other than `allowed`, each but the user's once. */
function properties(allowed: ReadonlySet<number>): void {
  const length = varint();
  if (length === 0) return;
  need(length);
  const whole = cursor.end;
  cursor.end = cursor.at + length;
  let seen = 0;
  while (cursor.at < cursor.end) {
    const id = varint();
    if (!allowed.has(id)) throw malformed(`a property ${id} that does not belong there`);
    const bit = 2 ** id;
    if (id !== USER_PROPERTY && Math.floor(seen / bit) % 2 === 1) {
      throw protocolError(`property ${id} is there twice`);
    }
    if (id !== USER_PROPERTY) seen += bit;
    property(id);
  }
  cursor.end = whole;
  const isLonely = Math.floor(seen / 2 ** AUTH_DATA) % 2 === 1;
  if (isLonely && Math.floor(seen / 2 ** AUTH_METHOD) % 2 === 0) {
    throw protocolError('authentication data without a method');
  }
}

function atEnd(): void {
  if (cursor.at !== cursor.end) throw malformed('bytes behind the end of a packet');
}

const CONNECT = { will: 0x04, willRetain: 0x20, password: 0x40, user: 0x80 } as const;

/** The version first: another one may have another shape behind it. */
function checkConnect(): void {
  const protocol = cursor.bytes.toString('latin1', cursor.at + 2, cursor.at + 6);
  const length = u16();
  need(length);
  cursor.at += length;
  const isOld = length === 6;
  if (!(length === 4 && protocol === 'MQTT') && !isOld) throw malformed('a protocol of no name');
  const level = u8();
  if (isOld || (level !== 4 && level !== 5)) {
    throw new VersionError(isOld ? 3 : level);
  }
  const flags = u8();
  if ((flags & 1) !== 0) throw malformed('a reserved flag of CONNECT');
  const willQos = (flags >> 3) & 0b11;
  const hasWill = (flags & CONNECT.will) !== 0;
  if (willQos === 3) throw malformed('a will of QoS 3');
  if (!hasWill && (willQos !== 0 || (flags & CONNECT.willRetain) !== 0)) {
    throw malformed('flags of a will, and no will');
  }
  const hasUser = (flags & CONNECT.user) !== 0;
  const hasPassword = (flags & CONNECT.password) !== 0;
  if (level === 4 && hasPassword && !hasUser) throw malformed('a password without a user name');
  u16();
  if (level === 5) properties(IN_CONNECT);
  skipText();
  if (hasWill) {
    if (level === 5) properties(IN_WILL);
    skipText();
    skipBin();
  }
  if (hasUser) skipText();
  if (hasPassword) skipBin();
  atEnd();
}

/** A version that Owsla does not speak: it is told so in the form of the nearest that it does. */
export class VersionError extends MqttError {
  readonly answerAs: MqttLevel;

  constructor(level: number) {
    super('version', REASON.version, 'this server speaks MQTT 3.1.1 and 5');
    this.answerAs = level > 5 ? 5 : 4;
  }
}

function checkPublish(level: MqttLevel, flags: number): void {
  skipText();
  if ((flags & 0b110) !== 0) packetId();
  if (level === 5) properties(IN_PUBLISH);
}

function checkPuback(level: MqttLevel): void {
  packetId();
  if (level === 4 || cursor.at === cursor.end) return;
  u8();
  if (cursor.at < cursor.end) properties(IN_PUBACK);
}

function checkSubscribe(level: MqttLevel): void {
  packetId();
  if (level === 5) properties(IN_SUBSCRIBE);
  if (cursor.at === cursor.end) throw protocolError('a SUBSCRIBE to nothing');
  while (cursor.at < cursor.end) {
    skipText();
    checkOptions(level, u8());
    cursor.items += 1;
  }
}

function checkOptions(level: MqttLevel, options: number): void {
  if ((options & 0b11) === 3) throw malformed('a subscription of QoS 3');
  if ((options & (level === 4 ? 0xfc : 0xc0)) !== 0) throw malformed('reserved bits of options');
  if (((options >> 4) & 0b11) === 3) throw protocolError('retain handling 3');
}

function checkUnsubscribe(level: MqttLevel): void {
  packetId();
  if (level === 5) properties(IN_UNSUBSCRIBE);
  if (cursor.at === cursor.end) throw protocolError('an UNSUBSCRIBE from nothing');
  while (cursor.at < cursor.end) {
    skipText();
    cursor.items += 1;
  }
}

function checkDisconnect(level: MqttLevel): void {
  if (level === 4 || cursor.at === cursor.end) return;
  const code = u8();
  if (!DISCONNECT_CODES.has(code)) throw protocolError(`a DISCONNECT with code ${code}`);
  if (cursor.at < cursor.end) properties(IN_DISCONNECT);
}

/** Those that a device may give (MQTT 5, section 3.14.2.1). */
const DISCONNECT_CODES: ReadonlySet<number> = new Set([
  ...[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99],
]);

/**
 * Throws MqttError for a packet that is not as the standard has it. `level`: what the link speaks;
 * 0: only a CONNECT says so. Gives how many parts it has.
 */
export function checkPacket(level: MqttLevel | 0, packet: Buffer, bodyAt: number): number {
  cursor.bytes = packet;
  cursor.at = bodyAt;
  cursor.end = packet.length;
  cursor.items = 1;
  const first = packet[0] as number;
  if (level === 0) checkConnect();
  else checkBody(level, first >> 4, first & 0xf);
  return cursor.items;
}

function checkBody(level: MqttLevel, kind: number, flags: number): void {
  switch (kind) {
    case KIND.publish:
      // Its payload is all that follows.
      checkPublish(level, flags);
      return;
    case KIND.puback:
      checkPuback(level);
      break;
    case KIND.subscribe:
      checkSubscribe(level);
      break;
    case KIND.unsubscribe:
      checkUnsubscribe(level);
      break;
    case KIND.disconnect:
      checkDisconnect(level);
      break;
    case KIND.pingreq:
      break;
    case KIND.connect:
      throw protocolError('a second CONNECT');
    default:
      throw protocolError('no authentication by AUTH');
  }
  atEnd();
}
