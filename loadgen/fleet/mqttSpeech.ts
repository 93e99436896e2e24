/**
 * MqttSpeech: devices that speak MQTT 3.1.1 or 5 to Owsla, as docs/mqtt.md has it.
 * From: device.ts; the plan's keepalive, and whether there will be commands.  To: the same. EVENTs
 * are PUBLISHes of QoS 1. REQUESTs have QoS 0, as their answer says it all: by topic in 3.1.1, by
 * Response Topic and Correlation Data in 5.
 * Bound: of an EVENT's id the low bits are its packet identifier; an answer is for the newest id
 * that has it, which is right as long as IN_FLIGHT_MAX is below PACKET_IDS.
 */
import mqtt, { type IConnackPacket, type IDisconnectPacket, type Packet } from 'mqtt-packet';
import { ProtocolError } from '../../src/base/errors.ts';
import type { MqttLevel } from '../../src/wire/mqtt/check.ts';
import { headerBytesOf } from '../../src/wire/mqtt/packetReader.ts';
import { putVarint, varintBytes } from '../../src/wire/mqtt/packets.ts';
import { COMMAND_PREFIX, REPLY_PREFIX, slashed } from '../../src/wire/mqtt/topics.ts';
import { type Bytes, KIND, type Kind } from '../plan/payload.ts';
import { FRAME_BYTES_MAX } from '../plan/plan.ts';
import { LengthCutter } from './lengthCutter.ts';
import {
  type Commanded,
  type Cutter,
  type Heard,
  type Speech,
  type Template,
  WILL_TOPIC,
} from './speech.ts';

/** First bytes of packets; of PUBLISH the upper half. */
const FIRST = { connack: 0x20, publish: 0x30, puback: 0x40, suback: 0x90, pingresp: 0xd0 } as const;
const DISCONNECT = 0xe0;
const QOS1 = 0x02;
const QOS_BITS = 0x06;
/** 1 to this many. */
const PACKET_IDS = 0xffff;
const ID_DIGITS = 10;
const LENGTH_BYTES_MAX = 4;
const KEEPALIVE_S = 60;
/** Where answers go in MQTT 5. */
const REPLIES_HERE = `${REPLY_PREFIX}lg`;
const PROPERTY = { responseTopic: 8, correlation: 9, user: 38 } as const;
/** Correlation Data, as a property: its name, its length, and an id. */
const CORRELATION_BYTES = 7;
const TAKEN_OVER = 0x8e;

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** The packet identifier that an EVENT with this id has. */
function packetIdOf(id: number): number {
  return ((id - 1) % PACKET_IDS) + 1;
}

/** The newest id up to `lastId` that has this packet identifier. */
function idOf(packetId: number, lastId: number): number {
  const id = lastId - ((((lastId - packetId) % PACKET_IDS) + PACKET_IDS) % PACKET_IDS);
  // Of no message: what is not there is its ledger's to judge.
  return id > 0 ? id : lastId + 1;
}

/** Of the packet that begins there; undefined: that is not known yet. */
function packetBytesOf(bytes: Buffer): number | undefined {
  let length = 0;
  for (let read = 0; read < LENGTH_BYTES_MAX && read + 1 < bytes.length; read += 1) {
    const byte = bytes[read + 1] as number;
    length += (byte & 0x7f) * 128 ** read;
    if (byte >= 0x80) continue;
    if (length > FRAME_BYTES_MAX) throw new ProtocolError('frame-too-long', `${length} bytes`);
    return read + 2 + length;
  }
  if (bytes.length <= LENGTH_BYTES_MAX) return undefined;
  throw new ProtocolError('bad-frame', 'a length of more than four bytes');
}

/** One PUBLISH, by everything that its id and payload do not change. */
class MqttTemplate implements Template {
  readonly kind: Kind;
  readonly bytes: Bytes;
  /** What stands between the length and the payload. */
  readonly #head: Buffer;
  /** Where in it the id is, and how it is written there. */
  readonly #idAt: number;
  readonly #put: (into: Buffer, id: number, at: number) => void;

  constructor(
    [kind, bytes]: readonly [Kind, Bytes],
    head: Buffer,
    idAt: number,
    put: (into: Buffer, id: number, at: number) => void,
  ) {
    this.kind = kind;
    this.bytes = bytes;
    this.#head = head;
    this.#idAt = idAt;
    this.#put = put;
  }

  payloadAt(length: number): number {
    const rest = this.#head.length + length;
    return 1 + varintBytes(rest) + this.#head.length;
  }

  make(id: number, _seq: number, length: number): Buffer {
    const payloadAt = this.payloadAt(length);
    const frame = Buffer.allocUnsafe(payloadAt + length);
    frame[0] = this.kind === KIND.event ? FIRST.publish | QOS1 : FIRST.publish;
    const headAt = putVarint(frame, this.#head.length + length, 1);
    this.#head.copy(frame, headAt);
    this.#put(frame, id, headAt + this.#idAt);
    return frame;
  }
}

export class MqttSpeech implements Speech {
  readonly ping = Buffer.from([0xc0, 0]);
  /** A server of MQTT does not ask. */
  readonly pong = Buffer.alloc(0);
  readonly bye = Buffer.from([DISCONNECT, 0]);
  readonly #version: MqttLevel;
  readonly #keepaliveS: number;
  /** It subscribes behind CONNECT, and is open with its SUBACK. */
  readonly #takesCommands: boolean;
  /** Told in CONNACK: the same for all, as all ask for the same. */
  #serverKeepaliveS: number | undefined;

  constructor(version: MqttLevel, keepaliveS: number | undefined, takesCommands: boolean) {
    this.#version = version;
    this.#keepaliveS = keepaliveS ?? KEEPALIVE_S;
    this.#takesCommands = takesCommands;
  }

  #write(packet: Packet): Buffer {
    return mqtt.generate(packet, { protocolVersion: this.#version });
  }

  hello(deviceId: string, token: string | undefined, will?: Buffer): Buffer {
    const connect = this.#write({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: this.#version,
      clientId: deviceId,
      clean: true,
      keepalive: this.#keepaliveS,
      ...(token === undefined ? {} : { username: deviceId, password: Buffer.from(token) }),
      ...(will && {
        will: { topic: slashed(WILL_TOPIC), payload: will, qos: 1, retain: false },
      }),
    });
    if (!this.#takesCommands) return connect;
    const subscriptions = [{ topic: `${COMMAND_PREFIX}#`, qos: 1 }] as const;
    const subscribe = { cmd: 'subscribe', messageId: PACKET_IDS } as const;
    return Buffer.concat([
      connect,
      this.#write({ ...subscribe, subscriptions: [...subscriptions] }),
    ]);
  }

  /** PUBACK and RESULT: the latter of QoS 0, as an answer that is lost is its backend's to know. */
  answer({ id, key }: Commanded, payload: Buffer): Buffer {
    const puback = Buffer.from([FIRST.puback, 2, id >> 8, id & 0xff]);
    const topic = text(`$owsla/result/${key?.toString('hex')}/0`);
    const head = this.#version === 5 ? Buffer.concat([topic, Buffer.from([0])]) : topic;
    const rest = head.length + payload.length;
    const first = Buffer.alloc(1 + varintBytes(rest), FIRST.publish);
    putVarint(first, rest, 1);
    return Buffer.concat([puback, first, head, payload]);
  }

  template(kind: Kind, topic: string, bytes: Bytes): Template {
    const name = slashed(topic);
    const isFive = this.#version === 5;
    if (kind === KIND.event) {
      const head = [text(name), Buffer.alloc(2), Buffer.alloc(isFive ? 1 : 0)];
      return new MqttTemplate([kind, bytes], Buffer.concat(head), 2 + name.length, putPacketId);
    }
    if (!isFive) {
      const begin = '$owsla/request/';
      const head = text(`${begin}${'0'.repeat(ID_DIGITS)}/${name}`);
      return new MqttTemplate([kind, bytes], head, 2 + begin.length, putDigits);
    }
    const properties = Buffer.concat([
      ...[Buffer.from([PROPERTY.responseTopic]), text(REPLIES_HERE)],
      ...[Buffer.from([PROPERTY.correlation, 0, 4]), Buffer.alloc(4)],
    ]);
    const head = Buffer.concat([text(name), Buffer.from([properties.length]), properties]);
    return new MqttTemplate([kind, bytes], head, head.length - 4, putId);
  }

  cutter(): Cutter {
    return new LengthCutter(packetBytesOf);
  }

  read(frame: Buffer, lastId: number): Heard {
    const first = frame[0] as number;
    if ((first & 0xf0) === FIRST.publish) return this.#published(frame);
    if (first === FIRST.puback) return { is: 'ack', id: idOf(frame.readUInt16BE(2), lastId) };
    if (first === FIRST.pingresp) return { is: 'pong' };
    const packet = this.#parse(frame);
    switch (packet.cmd) {
      case 'connack':
        return this.#connacked(packet);
      case 'suback':
        return packet.granted[0] === 1 ? this.#welcomed() : { is: 'error', code: 'suback' };
      case 'disconnect':
        return byeOf(packet);
      default:
        return { is: 'nonsense', what: `a ${packet.cmd} of the server` };
    }
  }

  #parse(frame: Buffer): Packet {
    let packet: Packet | undefined;
    const parser = mqtt.parser({ protocolVersion: this.#version });
    parser.on('packet', (one) => {
      packet = one;
    });
    parser.on('error', () => {});
    parser.parse(frame);
    if (packet === undefined) throw new ProtocolError('bad-frame', 'no packet of MQTT');
    return packet;
  }

  /** With commands it is welcome when it has subscribed. */
  #connacked(packet: IConnackPacket): Heard {
    const code = packet.reasonCode ?? packet.returnCode ?? 0;
    if (code !== 0) return { ...byeOf(packet), reason: wordOf(packet) ?? `connack-${code}` };
    this.#serverKeepaliveS = packet.properties?.serverKeepAlive;
    return this.#takesCommands ? { is: 'aside' } : this.#welcomed();
  }

  #welcomed(): Heard {
    return { is: 'welcome', keepaliveS: this.#serverKeepaliveS ?? this.#keepaliveS };
  }

  #published(frame: Buffer): Heard {
    let at = headerBytesOf(frame);
    const topicEnd = at + 2 + frame.readUInt16BE(at);
    const topic = frame.toString('latin1', at + 2, topicEnd);
    at = topicEnd;
    const isAcked = ((frame[0] as number) & QOS_BITS) !== 0;
    const packetId = isAcked ? frame.readUInt16BE(at) : 0;
    if (isAcked) at += 2;
    const propertiesAt = at;
    if (this.#version === 5) at = endOfProperties(frame, at);
    const payload = frame.subarray(at);
    const words = topic.split('/');
    if (topic.startsWith(COMMAND_PREFIX)) {
      return { is: 'command', id: packetId, key: Buffer.from(words[2] ?? '', 'hex'), payload };
    }
    if (topic === REPLIES_HERE) return { ...replyBy(frame, propertiesAt, at), payload };
    if (!topic.startsWith(REPLY_PREFIX)) return { is: 'nonsense', what: `a PUBLISH to ${topic}` };
    return { is: 'reply', id: Number(words[2]), status: Number(words[3]), payload };
  }
}

function putPacketId(into: Buffer, id: number, at: number): void {
  into.writeUInt16BE(packetIdOf(id), at);
}

function putId(into: Buffer, id: number, at: number): void {
  into.writeUInt32BE(id, at);
}

function putDigits(into: Buffer, id: number, at: number): void {
  into.write(String(id).padStart(ID_DIGITS, '0'), at, 'latin1');
}

/** Their length is a variable byte integer. */
function endOfProperties(frame: Buffer, start: number): number {
  let length = 0;
  let at = start;
  for (let scale = 1; ; scale *= 128) {
    const byte = frame[at] ?? 0;
    length += (byte & 0x7f) * scale;
    at += 1;
    if (byte < 0x80) return at + length;
  }
}

/** Of an answer by MQTT 5: id and status. Correlation Data and user properties are looked for. */
function replyBy(frame: Buffer, start: number, end: number) {
  let id = Number.NaN;
  let status = Number.NaN;
  let at = start;
  while ((frame[at] as number) >= 0x80) at += 1;
  at += 1;
  while (at < end) {
    const property = frame[at];
    const length = frame.readUInt16BE(at + 1);
    if (property === PROPERTY.correlation && length === CORRELATION_BYTES - 3) {
      id = frame.readUInt32BE(at + 3);
      at += CORRELATION_BYTES;
    } else if (property === PROPERTY.user) {
      const valueAt = at + 3 + length;
      const valueEnd = valueAt + 2 + frame.readUInt16BE(valueAt);
      const name = frame.toString('latin1', at + 3, valueAt);
      if (name === 'status') status = Number(frame.toString('latin1', valueAt + 2, valueEnd));
      at = valueEnd;
    } else {
      throw new ProtocolError('bad-frame', `property ${property} in an answer`);
    }
  }
  return { is: 'reply', id, status } as const;
}

/** Owsla's own word for an end, which MQTT 5 has room for. */
function wordOf({ properties }: IConnackPacket | IDisconnectPacket): string | undefined {
  const word = properties?.userProperties?.reason;
  return typeof word === 'string' ? word : undefined;
}

function byeOf(packet: IConnackPacket | IDisconnectPacket) {
  const code = packet.reasonCode ?? 0;
  const retry = Number(packet.properties?.userProperties?.retryAfter ?? Number.NaN);
  const named = code === TAKEN_OVER ? 'taken-over' : `disconnect-${code}`;
  return {
    is: 'bye',
    reason: wordOf(packet) ?? named,
    retryAfterMs: Number.isNaN(retry) ? undefined : retry,
  } as const;
}
