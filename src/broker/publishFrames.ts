/**
 * PublishFrames: one message as its frames, byte for byte. Pure.
 * From: directWriter.ts, in amqplib's place; properties as content.ts has them.  To: the socket.
 * Bound: HEAD_BYTES_MAX for all but the body; what does not fit into its field is a RangeError.
 *
 * Each character of a property is one byte, so that what a backend sent goes back as it came. All
 * integers in headers have 64 bits: amqplib makes small ones shorter, which some clients cannot
 * read.
 */
import {
  BASIC,
  BASIC_PUBLISH,
  FLAGS,
  FRAME_BYTES,
  FRAME_HEAD_BYTES,
  HEADER_FRAME,
  type Headers,
  type HeaderValue,
  METHOD_FRAME,
  type Properties,
  type Publish,
} from './content.ts';

const BODY_FRAME = 3;
const FRAME_END = 0xce;
const TWO_32 = 2 ** 32;
const SHORT_BYTES_MAX = 255;

/** The method and the properties of one message; RabbitMQ would not take a larger frame either. */
const HEAD_BYTES_MAX = 64 * 1024;
/** Whatever has a name or is text is measured; behind the last such item comes less than this. */
const TAIL_BYTES = 64;
const head = Buffer.alloc(HEAD_BYTES_MAX + TAIL_BYTES) as Latin1Buffer;

/** As `write` with 'latin1', but for its checks: `bytes` has made them. */
interface Latin1Buffer extends Buffer {
  latin1Write(text: string, offset: number, length: number): number;
}

/** Where the next item goes in `head`. */
let end = 0;

function octet(value: number): void {
  head[end] = value;
  end += 1;
}

/** Of a number its lowest 32 bits. */
function long(value: number): void {
  head[end] = value >>> 24;
  head[end + 1] = value >>> 16;
  head[end + 2] = value >>> 8;
  head[end + 3] = value;
  end += 4;
}

function bytes(text: string): void {
  if (end + text.length > HEAD_BYTES_MAX) throw new RangeError('a header is too long');
  head.latin1Write(text, end, text.length);
  end += text.length;
}

function short(text: string): void {
  if (text.length > SHORT_BYTES_MAX) {
    throw new RangeError(`a property of ${text.length} bytes; the limit is ${SHORT_BYTES_MAX}`);
  }
  octet(text.length);
  bytes(text);
}

function long64(value: number): void {
  const high = Math.floor(value / TWO_32);
  long(high);
  long(value - high * TWO_32);
}

function field(value: HeaderValue): void {
  if (typeof value === 'string') {
    octet(0x53);
    long(value.length);
    bytes(value);
  } else if (typeof value === 'boolean') {
    octet(0x74);
    octet(value ? 1 : 0);
  } else if (value === null) {
    octet(0x56);
  } else if (Number.isSafeInteger(value)) {
    octet(0x6c);
    long64(value);
  } else {
    octet(0x64);
    end = head.writeDoubleBE(value, end);
  }
}

/**
 * A table. amqplib hands on an empty object whose prototype it is: V8 walks the table itself in a
 * third of the time that it takes through that object.
 */
function table(handed: Headers): void {
  const isEmpty = Object.keys(handed).length === 0;
  const headers: Headers = isEmpty ? Object.getPrototypeOf(handed) : handed;
  const start = end;
  end += 4;
  for (const key in headers) {
    const value = headers[key];
    if (value === undefined) continue;
    short(key);
    field(value);
  }
  head.writeUInt32BE(end - start - 4, start);
}

/** Begins a frame, and gives where. */
function begin(type: number, channel: number): number {
  const start = end;
  octet(type);
  end = head.writeUInt16BE(channel, end) + 4;
  return start;
}

function close(start: number): void {
  head.writeUInt32BE(end - start - FRAME_HEAD_BYTES, start + 3);
  octet(FRAME_END);
}

function method(channel: number, { exchange, routingKey, mandatory }: Publish): void {
  const start = begin(METHOD_FRAME, channel);
  long(BASIC_PUBLISH);
  end = head.writeUInt16BE(0, end);
  short(exchange);
  short(routingKey);
  octet(mandatory ? 1 : 0);
  close(start);
}

function properties(channel: number, given: Properties, size: number): void {
  const start = begin(HEADER_FRAME, channel);
  end = head.writeUInt16BE(BASIC, end);
  end = head.writeUInt16BE(0, end);
  long64(size);
  const flagsAt = end;
  end += 2;
  let flags = 0;
  const text = (value: string | undefined, flag: number) => {
    if (value === undefined) return;
    flags |= flag;
    short(value);
  };
  text(given.contentType, FLAGS.contentType);
  text(given.contentEncoding, FLAGS.contentEncoding);
  if (given.headers !== undefined) {
    flags |= FLAGS.headers;
    table(given.headers);
  }
  if (given.deliveryMode !== undefined) {
    flags |= FLAGS.deliveryMode;
    octet(given.deliveryMode);
  }
  if (given.priority !== undefined) {
    flags |= FLAGS.priority;
    octet(given.priority);
  }
  text(given.correlationId, FLAGS.correlationId);
  text(given.replyTo, FLAGS.replyTo);
  text(given.expiration, FLAGS.expiration);
  text(given.messageId, FLAGS.messageId);
  if (given.timestamp !== undefined) {
    flags |= FLAGS.timestamp;
    long64(Number(given.timestamp));
  }
  text(given.type, FLAGS.type);
  text(given.userId, FLAGS.userId);
  text(given.appId, FLAGS.appId);
  head.writeUInt16BE(flags, flagsAt);
  close(start);
}

/**
 * One message as all its frames, the body cut to `frameMax` bytes a frame. The buffer is the
 * caller's. Throws RangeError for what does not fit into its field: nothing has been sent then.
 */
export function writeMessage(
  channel: number,
  publish: Publish,
  given: Properties,
  body: Buffer,
  frameMax: number,
): Buffer {
  end = 0;
  method(channel, publish);
  properties(channel, given, body.length);
  const partMax = frameMax - FRAME_BYTES;
  const parts = Math.ceil(body.length / partMax);
  const all = Buffer.allocUnsafe(end + body.length + parts * FRAME_BYTES);
  head.copy(all, 0, 0, end);
  let to = end;
  for (let from = 0; from < body.length; from += partMax) {
    const length = Math.min(partMax, body.length - from);
    to = all.writeUInt8(BODY_FRAME, to);
    to = all.writeUInt16BE(channel, to);
    to = all.writeUInt32BE(length, to);
    to += body.copy(all, to, from, from + length);
    to = all.writeUInt8(FRAME_END, to);
  }
  return all;
}
