/**
 * Coalesce: what amqplib writes in one turn of the event loop leaves in one system call.
 * From: link.ts, for each new connection.  To: the socket under it.
 * amqplib hands each message to the socket by itself, and a socket that can write at once does.
 * Bound: the socket's own high-water mark, as ever: at that `write` gives false.
 */
import type { Socket } from 'node:net';

export function coalesce(socket: Socket): void {
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  let isCorked = false;
  const uncork = () => {
    isCorked = false;
    socket.uncork();
  };
  socket.write = (...args: unknown[]) => {
    if (!isCorked) {
      isCorked = true;
      socket.cork();
      process.nextTick(uncork);
    }
    return write(...args);
  };
}
