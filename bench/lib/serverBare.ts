/**
 * The links' floor: a bare `net` server that reads 40 bytes and writes 40 back. No broker.
 * What Node itself costs for a link and its greeting.
 */
import { serve } from './serve.ts';

serve((socket) => {
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => socket.write(chunk));
});
