/**
 * A child that dies as a predecessor in a move may: it has sent a handle that nobody has read yet,
 * and not acknowledged one that was sent to it.
 */
import { createServer } from 'node:net';

interface Handled {
  readonly _handle: unknown;
}

const server = createServer();
server.listen(0, '127.0.0.1', () => process.send?.({ type: 'ready' }));

process.on('message', ({ type }: { readonly type: string }) => {
  if (type !== 'drain') return;
  // What comes now stays unread.
  const handle = (server as unknown as Handled)._handle as Parameters<
    NonNullable<typeof process.send>
  >[1];
  process.send?.({ type: 'given' }, handle);
  process.kill(process.pid, 'SIGKILL');
});
