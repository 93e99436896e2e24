/** The listening sockets of an acceptor: one port, and enough accepts in a busy event loop. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import * as net from 'node:net';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type BoundSocket, Listener } from '../../src/acceptor/endpoint/listener.ts';
import { Listeners } from '../../src/acceptor/endpoint/listeners.ts';
import type { SocketHandle } from '../../src/acceptor/endpoint/socket.ts';
import { type GivenHandles, ListenerMove } from '../../src/acceptor/move/listenerMove.ts';
import type { ListenWord } from '../../src/acceptor/move/moves.ts';
import { makeLimits } from '../../src/base/limits.ts';
import type { ListenerConfig } from '../../src/base/listeners.ts';
import type { MoveWord } from '../../src/node/ipc.ts';
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

t.test('listener: what it can spare is an even part, and none of its own', async (t) => {
  const limits = makeLimits({ listenSockets: 2 });
  const accepted: Socket[] = [];
  const [one, other] = [0, 1].map(() => new Listener(limits, (socket) => accepted.push(socket)));
  if (one === undefined || other === undefined) throw new Error('there are two');
  await one.listen('127.0.0.1', 0);
  const { port } = one;
  t.equal(one.spare(2).length, 0);
  await other.listen('127.0.0.1', port);
  await one.add(other.handles());
  t.equal(one.extra, 2);
  t.equal(one.spare(4).length, 1);

  const spare = one.spare(2);
  one.release(new Set(spare));

  t.equal(spare.length, 2);
  t.equal(one.extra, 0);
  const devices = Array.from({ length: 20 }, () => connect(port, '127.0.0.1'));
  await waitFor('all to be accepted', () => accepted.length === devices.length);
  for (const socket of [...accepted, ...devices]) socket.destroy();
  one.suspend();
  other.suspend();
});

t.test(
  'listeners: a handle belongs to its address, whatever its listener was called',
  async (t) => {
    const at = { host: '127.0.0.1', name: 'now', unix: '', tls: undefined };
    const listener = new Listener(makeLimits({ listenSockets: 1 }), () => {});
    await listener.listen('127.0.0.1', 0);
    const places = [{ ...at, port: listener.port }] as unknown as ListenerConfig[];
    const listeners = new Listeners(places, makeLimits(), () => {});
    const [handle] = listener.handles();
    if (handle === undefined) throw new Error('it listens');

    t.equal(listeners.nameOf({ name: 'before', host: '127.0.0.1' }, handle), 'now');
    t.equal(listeners.nameOf({ name: 'now', host: '127.0.0.2' }, handle), undefined);
    t.equal(listeners.nameOf({ name: 'now' }, handle), 'now', 'of a version that does not say');
    listener.suspend();
  },
);

/** A handle that is only counted. */
const named = (name: string) => ({ name, host: '', socket: 0, handle: { name } as never });

/** Those of an acceptor, and what it does. */
function movesOf(heard: string[], after: (ms: number, act: () => void) => void) {
  const all: Record<string, ListenerMove> = {};
  const parts = (who: string, isListening: boolean) => ({
    ...{ isListening, after },
    send: (other: string, word: MoveWord, handle?: SocketHandle) =>
      void all[other]?.onWord(who, word as ListenWord, handle),
    places: {
      ...{ handles: () => [], add: async () => {}, suspend: () => {} },
      nameOf: ({ name }: { name: string }) => name,
      spare: (among: number) => [named(`${who} 1 of ${among}`), named(`${who} 2 of ${among}`)],
      release: (handles: ReadonlySet<unknown>) => heard.push(`${who} lets ${handles.size} go`),
    },
    listen: async (given: GivenHandles) => {
      heard.push([...given.keys()].join(', '));
    },
  });
  for (const who of ['a', 'b']) all[who] = new ListenerMove(parts(who, true));
  return Object.assign(all, { new: new ListenerMove(parts('new', false)) });
}

t.test('listenerMove: who joins listens on what all that are there can spare', async (t) => {
  const heard: string[] = [];
  const all = movesOf(heard, () => {});

  await all.new.join(['a', 'b']);

  const [first, ...others] = heard;
  t.equal(first, 'a 1 of 3, a 2 of 3, b 1 of 3, b 2 of 3');
  t.same(others, ['a lets 2 go', 'b lets 2 go']);
});

t.test('listenerMove: it does not wait for one that has no such word', async (t) => {
  const heard: string[] = [];
  let late = () => {};
  const all = movesOf(heard, (_, act) => {
    late = act;
  });
  const joined = all.new.join(['a', 'of an older version']);
  t.same(heard, [], 'it waits');

  late();
  await joined;

  t.same(heard, ['a 1 of 3, a 2 of 3', 'a lets 2 go']);
});
