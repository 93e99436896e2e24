/**
 * Content: messages as they come over the wire, byte for byte. Pure.
 * From: directWriter.ts, which takes their frames out of amqplib's hands.  To: properties and
 * routing keys in which each character stands for one byte; publishFrames.ts has the way back.
 * Bound: what is received is read to its end whatever is in it: a field that cannot be read makes
 * its table BROKEN, never an error.
 *
 * What others send is bytes: AMQP does not define their encoding, and amqplib assumes UTF-8.
 * An id that is not UTF-8 would come back as another one, or be too long to be sent at all.
 * The frames: AMQP 0-9-1, sections 2.3.5 and 4.2; types of fields as RabbitMQ has them,
 * https://www.rabbitmq.com/amqp-0-9-1-errata#section_3
 */

/** A header's value: text and numbers as they are; anything else only shows that it is there. */
export type HeaderValue = string | number | boolean | null;
export type Headers = Readonly<Record<string, HeaderValue | undefined>>;

/** The headers of a message whose table cannot be read. */
export const BROKEN: Headers = Object.freeze(Object.create(null));

/** Properties by amqplib's names. */
export interface Properties {
  contentType?: string;
  contentEncoding?: string;
  headers?: Headers;
  deliveryMode?: number;
  priority?: number;
  correlationId?: string;
  replyTo?: string;
  expiration?: string;
  messageId?: string;
  /** Digits, where a number would not be exact. */
  timestamp?: number | string;
  type?: string;
  userId?: string;
  appId?: string;
  clusterId?: string;
}

/** The fields of basic.publish. */
export interface Publish {
  readonly exchange: string;
  readonly routingKey: string;
  readonly mandatory: boolean;
}

export const METHOD_FRAME = 1;
export const HEADER_FRAME = 2;
/** Type, channel and size before a frame's payload; the end behind it. */
export const FRAME_HEAD_BYTES = 7;
export const FRAME_BYTES = FRAME_HEAD_BYTES + 1;

export const BASIC_PUBLISH = 3_932_200;
export const BASIC_RETURN = 3_932_210;
export const BASIC_DELIVER = 3_932_220;
export const BASIC = 60;

/** Flags of the properties, in their order on the wire. */
export const FLAGS = {
  contentType: 1 << 15,
  contentEncoding: 1 << 14,
  headers: 1 << 13,
  deliveryMode: 1 << 12,
  priority: 1 << 11,
  correlationId: 1 << 10,
  replyTo: 1 << 9,
  expiration: 1 << 8,
  messageId: 1 << 7,
  timestamp: 1 << 6,
  type: 1 << 5,
  userId: 1 << 4,
  appId: 1 << 3,
  clusterId: 1 << 2,
} as const;

// Received.

/** A position in one payload. Every method reads one item there and moves behind it. */
class Cursor {
  readonly bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  octet(): number {
    return this.bytes.readUInt8(this.#move(1));
  }

  short(): string {
    return this.text(this.octet());
  }

  text(length: number): string {
    const start = this.#move(length);
    return this.bytes.toString('latin1', start, this.at);
  }

  long(): number {
    return this.bytes.readUInt32BE(this.#move(4));
  }

  /** Where an item of `length` bytes began. Throws RangeError where there are fewer. */
  #move(length: number): number {
    const start = this.at;
    if (start + length > this.bytes.length) throw new RangeError('it ends early');
    this.at = start + length;
    return start;
  }

  skip(length: number): null {
    this.#move(length);
    return null;
  }

  signed(length: 1 | 2 | 4): number {
    return this.bytes.readIntBE(this.#move(length), length);
  }

  unsigned(length: 1 | 2 | 4): number {
    return this.bytes.readUIntBE(this.#move(length), length);
  }

  /** Beyond 2^53 rounded, and so no safe integer. */
  signed64(): number {
    return Number(this.bytes.readBigInt64BE(this.#move(8)));
  }

  unsigned64(): number {
    return Number(this.bytes.readBigUInt64BE(this.#move(8)));
  }

  exact64(): number | string {
    const value = this.bytes.readBigUInt64BE(this.#move(8));
    return value <= Number.MAX_SAFE_INTEGER ? Number(value) : String(value);
  }

  float(length: 4 | 8): number {
    const start = this.#move(length);
    return length === 4 ? this.bytes.readFloatBE(start) : this.bytes.readDoubleBE(start);
  }
}

/** One field's value, by the tag before it. Types that are not used here are skipped: null. */
const FIELDS: Readonly<Record<string, (cursor: Cursor) => HeaderValue>> = {
  S: (cursor) => cursor.text(cursor.long()),
  t: (cursor) => cursor.octet() !== 0,
  b: (cursor) => cursor.signed(1),
  B: (cursor) => cursor.unsigned(1),
  s: (cursor) => cursor.signed(2),
  u: (cursor) => cursor.unsigned(2),
  I: (cursor) => cursor.signed(4),
  i: (cursor) => cursor.unsigned(4),
  l: (cursor) => cursor.signed64(),
  L: (cursor) => cursor.unsigned64(),
  f: (cursor) => cursor.float(4),
  d: (cursor) => cursor.float(8),
  // Decimal, timestamp, nothing; table, array and bytes with their lengths before them.
  D: (cursor) => cursor.skip(5),
  T: (cursor) => cursor.skip(8),
  V: () => null,
  F: (cursor) => cursor.skip(cursor.long()),
  A: (cursor) => cursor.skip(cursor.long()),
  x: (cursor) => cursor.skip(cursor.long()),
};

function readTable(cursor: Cursor, length: number): Headers {
  const start = cursor.at;
  cursor.skip(length);
  const table = new Cursor(cursor.bytes.subarray(start, cursor.at), 0);
  const headers: Record<string, HeaderValue> = Object.create(null);
  try {
    while (table.at < table.bytes.length) {
      const key = table.short();
      const read = FIELDS[String.fromCharCode(table.octet())];
      if (read === undefined) return BROKEN;
      headers[key] = read(table);
    }
  } catch {
    return BROKEN;
  }
  return headers;
}

/**
 * The properties in a content header's payload, behind class, weight and size. Throws RangeError
 * only where the frame itself is cut, which no broker sends.
 */
export function readProperties(payload: Buffer): Properties {
  const cursor = new Cursor(payload, 12);
  const flags = cursor.unsigned(2);
  const given: Properties = {};
  if (flags & FLAGS.contentType) given.contentType = cursor.short();
  if (flags & FLAGS.contentEncoding) given.contentEncoding = cursor.short();
  if (flags & FLAGS.headers) given.headers = readTable(cursor, cursor.long());
  if (flags & FLAGS.deliveryMode) given.deliveryMode = cursor.octet();
  if (flags & FLAGS.priority) given.priority = cursor.octet();
  if (flags & FLAGS.correlationId) given.correlationId = cursor.short();
  if (flags & FLAGS.replyTo) given.replyTo = cursor.short();
  if (flags & FLAGS.expiration) given.expiration = cursor.short();
  if (flags & FLAGS.messageId) given.messageId = cursor.short();
  if (flags & FLAGS.timestamp) given.timestamp = cursor.exact64();
  if (flags & FLAGS.type) given.type = cursor.short();
  if (flags & FLAGS.userId) given.userId = cursor.short();
  if (flags & FLAGS.appId) given.appId = cursor.short();
  if (flags & FLAGS.clusterId) given.clusterId = cursor.short();
  return given;
}

/** The fields of basic.deliver, in a method's payload, behind its id. */
export function readDeliver(payload: Buffer) {
  const cursor = new Cursor(payload, 4);
  return {
    consumerTag: cursor.short(),
    deliveryTag: cursor.unsigned64(),
    redelivered: (cursor.octet() & 1) === 1,
    exchange: cursor.short(),
    routingKey: cursor.short(),
  };
}

/** The fields of basic.return, the same way. */
export function readReturn(payload: Buffer) {
  const cursor = new Cursor(payload, 4);
  return {
    replyCode: cursor.unsigned(2),
    replyText: cursor.short(),
    exchange: cursor.short(),
    routingKey: cursor.short(),
  };
}
