/**
 * Packets: what Owsla says in MQTT, as bytes. Those of the busy path are written here, straight
 * into memory of the right size; the others by mqtt-packet.
 * From: mqttProtocol.ts.  To: frames that hold about their own memory for as long as they wait.
 * Bound: none of its own; a PUBLISH is as long as its topic, properties and payload.
 */
import mqtt, { type Packet } from 'mqtt-packet';
import { room } from '../room.ts';
import type { MqttLevel } from './check.ts';
import { KIND } from './packetReader.ts';
import { REASON, type ReasonCode } from './reasons.ts';

// It would keep a buffer for each of 65,536 numbers.
mqtt.writeToStream.cacheNumbers = false;

/** By mqtt-packet: what is said once in a while. */
export function encodePacket(level: MqttLevel, packet: Packet): Buffer {
  const bytes = mqtt.generate(packet, { protocolVersion: level });
  const own = room(bytes.length);
  bytes.copy(own);
  return own;
}

/** Always the same: a flood of them is one buffer. */
export const PINGRESP = Buffer.from([KIND.pingresp << 4, 0]);

/** With a reason. */
export const PUBACK_BYTES_MAX = 5;

/** A PUBACK; one of MQTT 3.1.1 has no reason. */
export function encodePuback(level: MqttLevel, id: number, reason: ReasonCode): Buffer {
  const isShort = level === 4 || reason === REASON.success;
  const packet = room(isShort ? 4 : PUBACK_BYTES_MAX);
  packet[0] = KIND.puback << 4;
  packet[1] = isShort ? 2 : 3;
  packet.writeUInt16BE(id, 2);
  if (!isShort) packet[4] = reason;
  return packet;
}

/** Of a variable byte integer. */
export function varintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  return value < 0x20_0000 ? 3 : 4;
}

/** Where it ends. */
export function putVarint(packet: Buffer, value: number, start: number): number {
  let at = start;
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) {
    at = packet.writeUInt8((rest % 0x80) | 0x80, at);
  }
  return packet.writeUInt8(rest, at);
}

function putText(packet: Buffer, text: string, at: number): number {
  const bytes = packet.write(text, at + 2);
  packet.writeUInt16BE(bytes, at);
  return at + 2 + bytes;
}

const PROPERTY = { expiry: 2, correlation: 9, user: 38 } as const;

/** Properties of a PUBLISH that Owsla sends; of MQTT 5 only. */
export interface PublishProperties {
  /** Seconds. */
  readonly expiry?: number;
  readonly correlation?: Buffer;
  /** ASCII. */
  readonly user: readonly (readonly [string, string])[];
}

function propertyBytes({ expiry, correlation, user }: PublishProperties): number {
  const ofUser = user.reduce((sum, [name, value]) => sum + 5 + name.length + value.length, 0);
  const ofCorrelation = correlation === undefined ? 0 : 3 + correlation.length;
  return (expiry === undefined ? 0 : 5) + ofCorrelation + ofUser;
}

function putProperties(
  packet: Buffer,
  { expiry, correlation, user }: PublishProperties,
  start: number,
): number {
  let at = start;
  if (expiry !== undefined) {
    at = packet.writeUInt32BE(expiry, packet.writeUInt8(PROPERTY.expiry, at));
  }
  if (correlation !== undefined) {
    at = packet.writeUInt8(PROPERTY.correlation, at);
    at = packet.writeUInt16BE(correlation.length, at);
    at += correlation.copy(packet, at);
  }
  for (const [name, value] of user) {
    at = packet.writeUInt8(PROPERTY.user, at);
    at = putText(packet, value, putText(packet, name, at));
  }
  return at;
}

const QOS1 = 0b10;

export interface Published {
  readonly topic: string;
  readonly payload: Buffer;
  /** 0: QoS 0; else QoS 1. */
  readonly packetId: number;
  /** Undefined: MQTT 3.1.1, which has none. */
  readonly properties: PublishProperties | undefined;
}

/** What a PUBLISH has besides its payload, at most, in bytes. */
export function publishOverhead(topicBytes: number, properties?: PublishProperties): number {
  return (
    1 + 4 + 2 + topicBytes + 2 + 4 + (properties === undefined ? 0 : propertyBytes(properties))
  );
}

/** A PUBLISH, its payload copied; `before`: a packet that goes before it. */
export function encodePublish(published: Published, before?: Buffer): Buffer {
  const { topic, payload, packetId, properties } = published;
  const extra = properties === undefined ? 0 : propertyBytes(properties);
  const ofProperties = properties === undefined ? 0 : varintBytes(extra) + extra;
  const ofId = packetId === 0 ? 0 : 2;
  const length = 2 + Buffer.byteLength(topic) + ofId + ofProperties + payload.length;
  const begin = before?.length ?? 0;
  const packet = room(begin + 1 + varintBytes(length) + length);
  before?.copy(packet);
  let at = packet.writeUInt8((KIND.publish << 4) | (packetId === 0 ? 0 : QOS1), begin);
  at = putText(packet, topic, putVarint(packet, length, at));
  if (packetId !== 0) at = packet.writeUInt16BE(packetId, at);
  if (properties !== undefined) {
    at = putProperties(packet, properties, putVarint(packet, extra, at));
  }
  payload.copy(packet, at);
  return packet;
}
