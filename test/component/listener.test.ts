/** The listening sockets of an acceptor: one port, and enough accepts in a busy event loop. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import * as net from 'node:net';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type BoundSocket, Listener } from '../../src/acceptor/endpoint/listener.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { waitFor } from '../helpers/waitFor.ts';

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

/** As the supervisor binds one for its acceptors; not in the types. */
function bindUnix(path: string): BoundSocket & { close(): void } {
  const { _createServerHandle: bind } = net as unknown as {
    _createServerHandle: (path: string, port: -1, type: -1) => BoundSocket & { close(): void };
  };
  return bind(path, -1, -1);
}

t.test('listener: as many wait on a Unix socket as `backlog` says', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ot-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'devices');
  const bound = bindUnix(path);
  const accepted: Socket[] = [];
  const listener = new Listener(makeLimits(), (socket) => accepted.push(socket), 1);
  await listener.listenOn(bound);

  // In one turn of the loop, in which nobody accepts.
  const devices = Array.from({ length: 1_000 }, () => connect(path));
  const outcomes = await Promise.allSettled(devices.map((device) => once(device, 'connect')));

  t.equal(outcomes.filter(({ status }) => status === 'rejected').length, 0);
  await waitFor('all to be accepted', () => accepted.length === devices.length);
  listener.suspend();
  bound.close();
  for (const socket of [...accepted, ...devices]) socket.destroy();
});
