/**
 * The floor of TLS links: a bare `node:tls` server, or `net` for plain ones, with the options that
 * a node has. It writes back what it reads; no broker, no frames.
 */
import type { Socket } from 'node:net';
import { createServer } from 'node:tls';
import { serve, tellPort } from './serve.ts';
import { type Kind, serverOptions } from './tlsKinds.ts';

const [kind = 'tls13', folder = ''] = process.argv.slice(2);
const echo = (socket: Socket) => {
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => socket.write(chunk));
  // With `allowHalfOpen`, as a node has it, nobody else ends our side.
  socket.on('end', () => socket.end());
};

if (kind === 'plain') serve(echo);
else {
  const server = createServer({ ...serverOptions(kind as Kind, folder), noDelay: true }, echo);
  server.on('tlsClientError', () => {});
  tellPort(server);
}
