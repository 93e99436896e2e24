/** A bare `net` server: it accepts, and answers each chunk with as many bytes. No broker. */
import { createServer } from 'node:net';
import { serve } from './serverMain.ts';

await serve(() => {
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('data', (chunk: Buffer) => socket.write(chunk));
  });
  return new Promise((resolve) => {
    server.listen({ host: '127.0.0.1', port: 0, reusePort: true, backlog: 4_096 }, () => {
      resolve((server.address() as { port: number }).port);
    });
  });
});
