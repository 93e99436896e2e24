/**
 * Mqtt: the few packets of MQTT 3.1.1 that the benches need, encoded by hand.
 * A library's client would be measured with the server. Bound: what these benches send.
 */

/** First bytes of packets, flags included where they are fixed. */
export const PACKET = {
  connack: 0x20,
  publish: 0x30,
  puback: 0x40,
  suback: 0x90,
  pingreq: 0xc0,
  pingresp: 0xd0,
} as const;

const CONNECT = 0x10;
const SUBSCRIBE = 0x82;
/** In PUBLISH's first byte: QoS 1. */
const AT_LEAST_ONCE = 0x02;
const CLEAN_SESSION = 0x02;
const LEVEL_311 = 4;

function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

function text(value: string): Buffer {
  return Buffer.concat([u16(Buffer.byteLength(value)), Buffer.from(value)]);
}

/** The remaining length, 7 bits a byte, the lowest first. */
function size(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  do {
    bytes.push((left % 128) | (left >= 128 ? 128 : 0));
    left = Math.floor(left / 128);
  } while (left > 0);
  return Buffer.from(bytes);
}

function packet(first: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([first]), size(body.length), body]);
}

export function connectPacket(clientId: string, keepaliveS: number): Buffer {
  const head = Buffer.from([LEVEL_311, CLEAN_SESSION]);
  return packet(CONNECT, text('MQTT'), head, u16(keepaliveS), text(clientId));
}

/** Filters, each with the highest QoS wanted. */
export function subscribePacket(filters: readonly (readonly [string, 0 | 1])[]): Buffer {
  const parts = filters.flatMap(([filter, qos]) => [text(filter), Buffer.from([qos])]);
  return packet(SUBSCRIBE, u16(1), ...parts);
}

/** With an id: QoS 1; the id is the two bytes before the payload. Without: QoS 0. */
export function publishPacket(topic: string, payload: Buffer, id: number | undefined): Buffer {
  if (id === undefined) return packet(PACKET.publish, text(topic), payload);
  return packet(PACKET.publish | AT_LEAST_ONCE, text(topic), u16(id), payload);
}

/** Length of the packet that begins at `at`; 0 while that is not known. */
export function packetLength(bytes: Buffer, at: number): number {
  let length = 0;
  let scale = 1;
  for (let next = at + 1; next < bytes.length; next += 1) {
    const byte = bytes[next] ?? 0;
    length += (byte & 127) * scale;
    if (byte < 128) return next + 1 - at + length;
    scale *= 128;
  }
  return 0;
}

export interface Published {
  readonly topic: string;
  readonly payload: Buffer;
  /** Its two bytes; undefined for QoS 0. */
  readonly id: Buffer | undefined;
}

/** The PUBLISH that lies from `at` to before `end`. */
export function readPublish(bytes: Buffer, at: number, end: number): Published {
  let next = at + 1;
  while ((bytes[next] ?? 0) >= 128) next += 1;
  next += 1;
  const topicEnd = next + 2 + bytes.readUInt16BE(next);
  const topic = bytes.toString('latin1', next + 2, topicEnd);
  if (((bytes[at] ?? 0) & AT_LEAST_ONCE) === 0) {
    return { topic, payload: bytes.subarray(topicEnd, end), id: undefined };
  }
  const payload = bytes.subarray(topicEnd + 2, end);
  return { topic, payload, id: bytes.subarray(topicEnd, topicEnd + 2) };
}

export function pubackPacket(id: Buffer): Buffer {
  return Buffer.concat([Buffer.from([PACKET.puback, 2]), id]);
}
