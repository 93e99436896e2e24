/**
 * DirectWriter: the channels of a connection write to its socket themselves, once per turn of the
 * loop; and messages pass byte for byte, both ways (content.ts, publishFrames.ts).
 * From: connection.ts, for each new connection, before it has channels.  To: the socket under it.
 * amqplib has each channel write to a stream of its own, and a round robin take from these to the
 * socket: fair to many busy channels, of which a connection here has one. See docs/decisions/0009.
 * Bound: the socket's high-water mark; at that `publish` gives false, and 'drain' follows.
 */
import type { Socket } from 'node:net';
import type { AmqpModel } from './amqp.ts';
import {
  BASIC,
  BASIC_DELIVER,
  BASIC_PUBLISH,
  BASIC_RETURN,
  FRAME_BYTES,
  FRAME_HEAD_BYTES,
  HEADER_FRAME,
  METHOD_FRAME,
  type Properties,
  type Publish,
  readDeliver,
  readProperties,
  readReturn,
} from './content.ts';
import { writeMessage } from './publishFrames.ts';

interface Channel {
  /** Emits 'drain'. */
  onBufferDrain(): void;
}

/** amqplib's own Connection, as far as we rely on it. */
export interface AmqplibConnection {
  /** The socket, which the one who closes the connection has to close. */
  readonly stream: Socket;
  /** Gives `channel` its number, which is its place in `channels`. */
  freshChannel(channel: Channel, options?: object): number;
  /** What each channel writes its frames to; for number 0, the connection's own, the socket. */
  readonly channels: { buffer: { write(frame: Buffer): boolean; end(): void } }[];
  /** Bytes read and not yet taken; what `recvFrame` looks at first. */
  rest: Buffer;
  /** Largest frame either side sends, and the largest payload that is taken. */
  readonly frameMax: number;
  readonly maxFrameSize: number;
  /** Looked at, and unset, by its heartbeats. */
  sentSinceLastCheck: boolean;
  recvSinceLastCheck: boolean;
  /** The next whole frame; false: there is none. */
  recvFrame(): object | false;
  sendMessage: SendMessage;
}

/** amqplib's types leave out what we rely on. */
export function connectionOf({ connection }: Pick<AmqpModel, 'connection'>): AmqplibConnection {
  return connection as AmqplibConnection;
}

type SendMessage = (
  channel: number,
  method: number,
  publish: Publish,
  classId: number,
  properties: Properties,
  body: Buffer,
) => boolean;

export function writeDirectly(connection: AmqplibConnection): void {
  writeItself(connection);
  const recvFrame = connection.recvFrame.bind(connection);
  connection.recvFrame = () => receive(connection, recvFrame);
  const { sendMessage } = connection;
  connection.sendMessage = (channel, method, publish, classId, properties, body) => {
    if (method !== BASIC_PUBLISH) {
      return sendMessage.call(connection, channel, method, publish, classId, properties, body);
    }
    const frames = writeMessage(channel, publish, properties, body, connection.frameMax);
    connection.sentSinceLastCheck = true;
    return connection.channels[channel]?.buffer.write(frames) === true;
  };
}

/** The next frame: those of messages by content.ts, all others by amqplib. */
function receive(connection: AmqplibConnection, others: () => object | false): object | false {
  let { rest } = connection;
  while (!isWhole(rest)) {
    if (isTooLarge(rest, connection.maxFrameSize)) return others();
    const read: Buffer | null = connection.stream.read();
    if (read === null) return false;
    connection.recvSinceLastCheck = true;
    rest = rest.length === 0 ? read : Buffer.concat([rest, read]);
    connection.rest = rest;
  }
  const size = rest.readUInt32BE(3);
  const payload = rest.subarray(FRAME_HEAD_BYTES, FRAME_HEAD_BYTES + size);
  const frame = frameOf(rest.readUInt8(0), payload);
  if (frame === undefined) return others();
  const channel = rest.readUInt16BE(1);
  connection.rest = rest.subarray(FRAME_BYTES + size);
  return { channel, ...frame };
}

/** A whole frame begins here. */
function isWhole(bytes: Buffer): boolean {
  return bytes.length >= FRAME_HEAD_BYTES && bytes.length >= FRAME_BYTES + bytes.readUInt32BE(3);
}

/** amqplib refuses it: 0 is no limit. */
function isTooLarge(bytes: Buffer, sizeMax: number): boolean {
  return sizeMax > 0 && bytes.length >= FRAME_HEAD_BYTES && bytes.readUInt32BE(3) > sizeMax;
}

/** As amqplib gives it to its channels; undefined: this one is not ours to read. */
function frameOf(type: number, payload: Buffer): object | undefined {
  if (type === HEADER_FRAME) {
    const size = Number(payload.readBigUInt64BE(4));
    return { id: BASIC, size, fields: readProperties(payload) };
  }
  if (type !== METHOD_FRAME) return undefined;
  const id = payload.readUInt32BE(0);
  if (id === BASIC_DELIVER) return { id, fields: readDeliver(payload) };
  return id === BASIC_RETURN ? { id, fields: readReturn(payload) } : undefined;
}

function writeItself(connection: AmqplibConnection): void {
  const { stream: socket } = connection;
  const full = new Set<Channel>();
  socket.on('drain', () => {
    const drained = [...full];
    full.clear();
    for (const channel of drained) channel.onBufferDrain();
  });

  // The output of all sockets that were ready in a turn leaves in one system call.
  let isCorked = false;
  const uncork = () => {
    isCorked = false;
    socket.uncork();
  };
  const cork = () => {
    isCorked = true;
    socket.cork();
    setImmediate(uncork);
  };

  const freshChannel = connection.freshChannel.bind(connection);
  connection.freshChannel = (channel, options) => {
    const number = freshChannel(channel, options);
    const write = (frame: Buffer) => {
      if (!isCorked) cork();
      const isTaken = socket.write(frame);
      if (!isTaken) full.add(channel);
      return isTaken;
    };
    // The end of a channel is not that of the socket.
    const end = () => {};
    connection.channels[number] = { ...connection.channels[number], buffer: { write, end } };
    return number;
  };
}
