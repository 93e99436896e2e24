/**
 * Dialects: what a benched device says and hears, as bytes made beforehand.
 * From: client.ts, which copies a template, puts number and time in, and writes it.
 * To: the server under test: `owsla` our protocol, `mqtt` MQTT 3.1.1, `owsla-mqtt` the same as
 * Owsla has it, `bare` the floor's.
 * Every payload has 32 bytes; its last 8 are the time of sending, which the echo brings back, so
 * that the client keeps nothing per message. Bound: answers of less than 64 KiB.
 */
import { TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import { CODE } from '../../src/wire/v1Types.ts';
import { connectPacket, PACKET, packetLength, publishPacket, subscribePacket } from './mqtt.ts';

export type DialectName = 'owsla' | 'mqtt' | 'owsla-mqtt' | 'bare';

/** Bytes to copy for each message; the last 8 are for the time of sending. */
export interface Template {
  readonly bytes: Buffer;
  /** Where the message's own number goes, and how wide it is; 0 bytes: nowhere. */
  readonly idAt: number;
  readonly idBytes: 0 | 2 | 4;
}

/** What arrived: the answer to a round, the ACK of an event, of a PING, or anything else. */
export type Kind = 'answer' | 'ack' | 'pong' | 'other';

export interface Dialect {
  hello(name: string): Buffer;
  isWelcome(bytes: Buffer): boolean;
  /** What a talker has to say once to be reached; undefined: nothing. */
  subscription(name: string): Buffer | undefined;
  request(name: string): Template;
  event(name: string): Template;
  /** What a device without anything to say sends, so that its link is kept. */
  readonly ping: Buffer;
  /** Length of the frame that begins at `at`; 0 while that is not known. */
  lengthAt(bytes: Buffer, at: number): number;
  /** Of the whole frame from `at` to before `end`. */
  kindAt(bytes: Buffer, at: number, end: number): Kind;
}

export const PAYLOAD_BYTES = 32;
export const STAMP_BYTES = 8;
/** The first byte of a payload, by which the floor tells them apart, and of the floor's ACK. */
export const BARE = { request: 0, event: 1, ack: 2, hello: 3, ping: 4 } as const;
export const BARE_HELLO_BYTES = 40;
/** As long as one of our protocol. */
const BARE_PING = Buffer.alloc(6, BARE.ping);

const TOPIC = 'door.badge';
const KEEPALIVE_S = 3_600;

function payload(kind: number): Buffer {
  const bytes = Buffer.alloc(PAYLOAD_BYTES, 'x');
  bytes[0] = kind;
  return bytes;
}

/** A frame of our protocol whose id is written as a full uint32. */
function framed(type: typeof TYPE.EVENT | typeof TYPE.REQUEST, kind: number): Template {
  const id = 0x7fff_ffff;
  const bytes = encode({ type, id, topic: TOPIC, payload: payload(kind), meta: {} });
  return { bytes, idAt: bytes.indexOf(Buffer.from([0xce, 0x7f, 0xff])) + 1, idBytes: 4 };
}

/** Behind the length comes the array's head, then the type. */
const TYPE_AT = 5;
/** A REPLY ends with: status, bin head of two bytes, payload. */
const STATUS_FROM_END = PAYLOAD_BYTES + 3;

const owsla: Dialect = {
  hello: (deviceId) =>
    encode({
      ...{ type: TYPE.HELLO, version: 1, deviceId, keepalive: KEEPALIVE_S },
      ...{ token: undefined, frameBytesMax: undefined },
    }),
  isWelcome: (bytes) => bytes[TYPE_AT] === CODE.welcome,
  subscription: () => undefined,
  request: () => framed(TYPE.REQUEST, BARE.request),
  event: () => framed(TYPE.EVENT, BARE.event),
  ping: encode({ type: TYPE.PING }),
  lengthAt: (bytes, at) => (at + 4 > bytes.length ? 0 : 4 + bytes.readUInt32BE(at)),
  kindAt: (bytes, at, end) => {
    const type = bytes[at + TYPE_AT];
    if (type === CODE.ack) return 'ack';
    if (type === CODE.pong) return 'pong';
    return type === CODE.reply && bytes[end - STATUS_FROM_END] === 0 ? 'answer' : 'other';
  },
};

const mqtt: Dialect = {
  hello: (clientId) => connectPacket(clientId, KEEPALIVE_S),
  isWelcome: (bytes) => bytes[0] === PACKET.connack && bytes[3] === 0,
  subscription: (name) => subscribePacket([[`down/${name}`, 0]]),
  request: (name) => {
    const bytes = publishPacket(`up/${name}`, payload(BARE.request), undefined);
    return { bytes, idAt: 0, idBytes: 0 };
  },
  event: (name) => {
    const bytes = publishPacket(`ev/${name}`, payload(BARE.event), 0);
    return { bytes, idAt: bytes.length - PAYLOAD_BYTES - 2, idBytes: 2 };
  },
  ping: Buffer.from([PACKET.pingreq, 0]),
  lengthAt: packetLength,
  kindAt: (bytes, at) => {
    const type = (bytes[at] ?? 0) & 0xf0;
    if (type === PACKET.puback) return 'ack';
    if (type === PACKET.pingresp) return 'pong';
    return type === PACKET.publish ? 'answer' : 'other';
  },
};

/** Answers come without a subscription; a device that takes commands has one. */
const owslaMqtt: Dialect = {
  ...mqtt,
  subscription: () => subscribePacket([['$owsla/command/#', 1]]),
  request: () => {
    const topic = '$owsla/request/1/door/badge';
    const bytes = publishPacket(topic, payload(BARE.request), undefined);
    return { bytes, idAt: 0, idBytes: 0 };
  },
};

const unnumbered = (bytes: Buffer): Template => ({ bytes, idAt: 0, idBytes: 0 });

const BARE_LENGTHS: Readonly<Record<number, number>> = {
  [BARE.ack]: 1,
  [BARE.ping]: BARE_PING.length,
};
const BARE_KINDS: Readonly<Record<number, Kind>> = { [BARE.ack]: 'ack', [BARE.ping]: 'pong' };

const bare: Dialect = {
  hello: () => Buffer.alloc(BARE_HELLO_BYTES, BARE.hello),
  isWelcome: (bytes) => bytes.length === BARE_HELLO_BYTES,
  subscription: () => undefined,
  request: () => unnumbered(payload(BARE.request)),
  event: () => unnumbered(payload(BARE.event)),
  ping: BARE_PING,
  lengthAt: (bytes, at) => BARE_LENGTHS[bytes[at] ?? 0] ?? PAYLOAD_BYTES,
  kindAt: (bytes, at) => BARE_KINDS[bytes[at] ?? 0] ?? 'answer',
};

export const DIALECTS: Readonly<Record<DialectName, Dialect>> = {
  ...{ owsla, mqtt, bare },
  'owsla-mqtt': owslaMqtt,
};
