/**
 * Unmux: the channels of a connection write to its socket themselves, once per turn of the loop.
 * From: link.ts, for each new connection, before it has channels.  To: the socket under it.
 * amqplib has each channel write to a stream of its own, and a round robin take from these to the
 * socket: fair to many busy channels, of which a connection here has one. See docs/decisions/0009.
 * Bound: the socket's high-water mark; at that `publish` gives false, and 'drain' follows.
 */
import type { Socket } from 'node:net';

interface Channel {
  /** Emits 'drain'. */
  onBufferDrain(): void;
}

/** amqplib's own Connection, as far as we rely on it. */
export interface Connection {
  /** The socket, which amqplib leaves to whoever closes the connection. */
  readonly stream: Socket;
  /** Gives `channel` its number, which is its place in `channels`. */
  freshChannel(channel: Channel, options?: object): number;
  /** What each channel writes its frames to; for number 0, the connection's own, the socket. */
  readonly channels: { buffer: { write(frame: Buffer): boolean; end(): void } }[];
}

export function unmux(connection: Connection): void {
  const { stream: socket } = connection;
  const full = new Set<Channel>();
  socket.on('drain', () => {
    const drained = [...full];
    full.clear();
    for (const channel of drained) channel.onBufferDrain();
  });

  // What all sockets that were ready in a turn have to say leaves in one system call.
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
