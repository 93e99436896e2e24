/**
 * Publish: a PUBLISH of a device, checked and read in one go: it is the packet of the busy path,
 * and a second parser would cost as much again as all else that is done with it.
 * From: mqttProtocol.ts, one whole packet.  To: the same: its fields, good until the next packet.
 * Bound: pure; the packet's own length. What test/property/mqtt.test.ts reads by mqtt-packet is the
 * same.
 */
import type { Meta } from '../message.ts';
import type { MqttLevel } from './check.ts';
import {
  beginFields,
  fieldCursor,
  PROPERTIES_IN,
  skipPacketId,
  skipProperties,
  skipText,
} from './fields.ts';
import { metaOf, type UserTexts } from './meta.ts';

export interface PublishRead {
  /** As latin1: what is no ASCII is no topic of Owsla's. */
  topic: string;
  /** 0: of QoS 0. */
  packetId: number;
  /** A view. */
  payload: Buffer;
  meta: Meta;
  /** 0: none. */
  alias: number;
  responseTopic: string | undefined;
  /** A view. */
  correlation: Buffer | undefined;
}

const PROPERTY = { responseTopic: 8, correlation: 9, alias: 35, user: 38 } as const;
const RETAIN_FLAG = 1;
const NO_BYTES: Buffer = Buffer.alloc(0);

/** One for all links, as nobody reads two packets at once. */
const read: PublishRead = {
  ...{ topic: '', packetId: 0, payload: NO_BYTES, meta: {}, alias: 0 },
  ...{ responseTopic: undefined, correlation: undefined },
};
let user: UserTexts | undefined;

function lengthAt(at: number): number {
  return fieldCursor.bytes.readUInt16BE(at);
}

function textAt(at: number): string {
  return fieldCursor.bytes.toString('utf8', at + 2, at + 2 + lengthAt(at));
}

function onProperty(id: number, at: number): void {
  if (id === PROPERTY.alias) read.alias = lengthAt(at);
  else if (id === PROPERTY.responseTopic) read.responseTopic = textAt(at);
  else if (id === PROPERTY.correlation) {
    read.correlation = fieldCursor.bytes.subarray(at + 2, at + 2 + lengthAt(at));
  } else if (id === PROPERTY.user) onUser(at);
}

/** Of those that have a meaning here. One that is there twice is no text. */
function onUser(at: number): void {
  const name = textAt(at);
  if (name !== 'seq' && name !== 'at' && name !== 'traceparent' && name !== 'tracestate') return;
  user ??= {};
  user[name] = user[name] === undefined ? textAt(at + 2 + lengthAt(at)) : '';
}

/** Throws MqttError for one that is not as the standard has it. */
export function readPublish(level: MqttLevel, packet: Buffer, bodyAt: number): PublishRead {
  beginFields(packet, bodyAt);
  const first = packet[0] as number;
  skipText();
  read.topic = packet.toString('latin1', bodyAt + 2, fieldCursor.at);
  read.packetId = 0;
  if ((first & 0b110) !== 0) {
    read.packetId = packet.length >= fieldCursor.at + 2 ? lengthAt(fieldCursor.at) : 0;
    skipPacketId();
  }
  read.alias = 0;
  read.responseTopic = undefined;
  read.correlation = undefined;
  user = undefined;
  if (level === 5) skipProperties(PROPERTIES_IN.publish, onProperty);
  read.payload = packet.subarray(fieldCursor.at);
  read.meta = metaOf((first & RETAIN_FLAG) !== 0, user);
  return read;
}
