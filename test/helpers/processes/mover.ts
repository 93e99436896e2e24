/**
 * Mover: a process with an acceptor's endpoints and its part in a move, and no broker: it confirms
 * each EVENT, and answers each REQUEST a little later.
 * From: moveRelay.ts, which forks it and plays the supervisor.  To: devices; words of the move.
 * Bound: it ends with its parent.
 */
import type { SendHandle } from 'node:child_process';
import { createServer } from 'node:net';
import type { Endpoint } from '../../../src/acceptor/endpoint/endpoint.ts';
import { Endpoints } from '../../../src/acceptor/endpoint/endpoints.ts';
import { Registry } from '../../../src/acceptor/endpoint/registry.ts';
import { RoomSignal } from '../../../src/acceptor/endpoint/roomSignal.ts';
import { openLinks } from '../../../src/acceptor/endpoint/shards.ts';
import type { SocketHandle } from '../../../src/acceptor/endpoint/socket.ts';
import { LinkChanges } from '../../../src/acceptor/linkChanges.ts';
import { Giver } from '../../../src/acceptor/move/giver.ts';
import { MoveLine, type ToSupervisor } from '../../../src/acceptor/move/moveLine.ts';
import { Moves } from '../../../src/acceptor/move/moves.ts';
import { Taker } from '../../../src/acceptor/move/taker.ts';
import { DeviceCommands } from '../../../src/acceptor/route/deviceCommands.ts';
import { systemClock as clock } from '../../../src/base/clock.ts';
import { makeLimits } from '../../../src/base/limits.ts';
import { makeLogger } from '../../../src/base/log.ts';
import { makeCounters } from '../../../src/base/metrics.ts';
import { noTrace } from '../../../src/base/trace.ts';
import { MESSAGE_TYPES } from '../../../src/wire/message.ts';
import { ANY_DEVICE, ANY_LINK, BUILT_IN, PLAIN_ORIGIN } from '../fakes/anyDevice.ts';
import { NOBODY_TOLD } from '../fakes/fakeRoutes.ts';
import { makeLinkWills } from '../fakes/linkWills.ts';
import type { MoverOrder, MoverStart } from './moveRelay.ts';

const ANSWER_MS = 5;
const TICK_MS = 8;

function build({ name, predecessor }: MoverStart): { moves: Moves; endpoints: Endpoints } {
  const limits = makeLimits({ drainPaceMs: 0 });
  const counters = makeCounters(MESSAGE_TYPES);
  const registry = new Registry<Endpoint>();
  const shared = { registry, limits, counters, clock, trace: noTrace, wake: () => {} };
  const links = (shard: number) => openLinks(registry, shard);
  const { wills } = makeLinkWills();
  const changes = new LinkChanges({ links, clock, trace: noTrace, wills, limits, counters });
  if (predecessor !== undefined) changes.follows(predecessor);
  const commands = new DeviceCommands({ ...shared, wall: clock.wall, notify: () => {} });
  const send: ToSupervisor = (message, handle) => {
    process.send?.(message, handle as SendHandle, undefined, () => {});
  };
  const line = new MoveLine(name, { predecessor }, send);
  const giver = new Giver({
    ...{ ...shared, changes, commands, spread: () => 0, drainPaceMs: 0, recordMs: 0 },
    after: (ms, act) => void setTimeout(act, ms),
    mayCome: () => false,
    send: line.pass,
    onMoved: (figures) => send({ type: 'moved', figures }),
    collect: () => {},
  });
  const endpoints = new Endpoints({
    ...{ ...shared, protocols: BUILT_IN, spread: () => 0, busyShare: () => 0 },
    ...{ linksMax: 1_000, wills, room: new RoomSignal(), prover: ANY_DEVICE, restorer: ANY_LINK },
    ...{ presence: NOBODY_TOLD, refusals: NOBODY_TOLD, onOwed: giver.onOwed },
    routes: {
      isFull: () => false,
      isSlow: () => false,
      onMessage: (endpoint, message) => {
        if (message.type === 'event') {
          endpoint.acknowledge(message.id);
          return;
        }
        endpoint.hold();
        setTimeout(() => {
          endpoint.reply(message.id, 0, message.payload);
          endpoint.release();
        }, ANSWER_MS);
      },
      onAnswer: () => {},
      onReady: () => {},
      onEnd: () => {},
    },
  });
  const taker = new Taker({
    ...{
      ...shared,
      endpoints,
      changes,
      onTaken: () => {},
      retryAfter: () => 0,
      send: line.pass,
    },
  });
  const log = makeLogger('silent', { role: 'acceptor' });
  setInterval(() => {
    giver.tick();
    endpoints.tick();
    process.send?.({ type: 'links', open: [...registry.all()].filter(isOpen).length });
  }, TICK_MS);
  return {
    moves: new Moves({ giver, taker, line, log, onFollow: (of) => changes.follows(of) }),
    endpoints,
  };
}

function isOpen({ state }: Endpoint): boolean {
  return state === 'open';
}

function listen(path: string, endpoints: Endpoints): void {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) =>
    endpoints.accept(socket, clock.us(), PLAIN_ORIGIN),
  );
  server.listen(path === '' ? { host: '127.0.0.1', port: 0 } : { path }, () => {
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    process.send?.({ type: 'listens', port });
  });
}

let parts: ReturnType<typeof build> | undefined;

process.on('disconnect', () => process.exit());
process.on('message', (message: MoverOrder, handle) => {
  if (message.type === 'begin') {
    parts = build(message);
    if (message.predecessor === undefined) listen(message.path, parts.endpoints);
    else process.send?.({ type: 'listens', port: 0 });
  } else if (message.type === 'move') parts?.moves.begin(message);
  else if (message.type === 'gone') parts?.moves.onGone(message.acceptor);
  else if (message.type === 'pass') parts?.moves.onPass(message, handle as unknown as SocketHandle);
});
