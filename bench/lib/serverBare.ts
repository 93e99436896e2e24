/**
 * The links' floor: a bare `net` server that reads 40 bytes and writes 40 back. No broker.
 * What Node itself costs for a link and its greeting.
 */
import { createServer } from 'node:net';

process.on('disconnect', () => process.exit());
const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => socket.write(chunk));
});
server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  process.send?.({ port: (server.address() as { port: number }).port });
});
