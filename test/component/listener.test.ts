/** The listening sockets of an acceptor: one port, and enough accepts in a busy event loop. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { Listener } from '../../src/acceptor/endpoint/listener.ts';
import { makeLimits } from '../../src/base/limits.ts';

const LINKS = 256;
const SOCKETS = 16;
const TURN_MS = 5;

function spin(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** Accept everything in an event loop of long turns; how many turns did that take? */
async function turnsFor(listenSockets: number): Promise<number> {
  const accepted: Socket[] = [];
  const listener = new Listener(makeLimits({ listenSockets }), (socket) => accepted.push(socket));
  await listener.listen('127.0.0.1', 0);
  const { port } = listener;
  const devices = Array.from({ length: LINKS }, () => connect(port, '127.0.0.1'));
  await Promise.all(devices.map((device) => once(device, 'connect')));

  const before = accepted.length;
  let turns = 0;
  while (accepted.length < LINKS) {
    turns += 1;
    spin(TURN_MS);
    await new Promise((resolve) => setImmediate(resolve));
  }
  listener.suspend();
  for (const socket of [...accepted, ...devices]) socket.destroy();
  // What came in while the devices connected counts for nothing.
  return (turns * LINKS) / (LINKS - before + 1);
}

t.test('listener: a busy acceptor accepts listenSockets links per turn of its loop', async (t) => {
  const one = await turnsFor(1);
  const many = await turnsFor(SOCKETS);

  // The kernel spreads the links by hash, so the fullest of the sockets sets the time.
  t.ok(many * 3 < one, `${many} turns with ${SOCKETS} sockets, ${one} with one`);
});
