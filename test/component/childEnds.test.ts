/** Children: an end is seen once, and after all that the child has said. */
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { makeConfig } from '../../src/base/config.ts';
import { makeLogger } from '../../src/base/log.ts';
import { Children } from '../../src/supervisor/children.ts';
import { makeEdition } from '../../src/supervisor/edition.ts';
import { Tickets } from '../../src/supervisor/tickets.ts';
import { UnixSockets } from '../../src/supervisor/unixSockets.ts';
import { isThere } from '../helpers/processes/cli.ts';

const entry = join(import.meta.dirname, '../helpers/processes/handedAndKilled.ts');
const PID_WAIT_MS = 20_000;

t.test('a child that dies with handles on their way, both ways: its end is seen', async (t) => {
  const edition = makeEdition(entry, makeConfig({ acceptors: 1 }));
  const said: string[] = [];
  let onReady = () => {};
  let onEnd = () => {};
  const ready = new Promise<void>((resolve) => (onReady = resolve));
  const ended = new Promise<void>((resolve) => (onEnd = resolve));
  const children = new Children({
    edition,
    node: 'node',
    folder: 'none',
    log: makeLogger('silent', { role: 'supervisor' }),
    tickets: new Tickets([], 0),
    sockets: new UnixSockets([]),
    beforeFork: () => {},
    onMessage: (_slot, { type }, handle) => {
      said.push(type);
      (handle as { close(): void } | undefined)?.close();
      if (type === 'ready') onReady();
    },
    onEnded: (slot, { signal }) => {
      said.push(`ended by ${signal}`);
      slot.process = undefined;
      onEnd();
    },
  });
  const slot = children.acceptors[0];
  if (slot === undefined) throw new Error('no acceptor');
  children.fork(slot);
  await ready;
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { process: child } = slot;

  slot.state = 'ready';
  children.drain(slot);
  child?.send({ type: 'socket', name: 'late' }, server);
  // Its last words, its handle and its exit come at once: nothing is read before it is dead.
  untilDead(child?.pid ?? 0);

  await ended;
  t.same(said, ['ready', 'given', 'ended by SIGKILL']);
});

/** Blocks this process: a zombie is dead. */
function untilDead(pid: number): void {
  const until = performance.now() + PID_WAIT_MS;
  while (performance.now() < until && isThere(pid));
}
