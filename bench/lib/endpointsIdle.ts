/**
 * Endpoints with N open, silent links over sockets that lead nowhere, ticked as an acceptor does
 * it. Tells what the process spent over the seconds given, and what of it was in the ticks.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import type { Endpoint } from '../../src/acceptor/endpoint/endpoint.ts';
import { Endpoints } from '../../src/acceptor/endpoint/endpoints.ts';
import { LinkWills } from '../../src/acceptor/endpoint/linkWills.ts';
import { Registry } from '../../src/acceptor/endpoint/registry.ts';
import { RoomSignal } from '../../src/acceptor/endpoint/roomSignal.ts';
import { spreadBy } from '../../src/acceptor/endpoint/spread.ts';
import { systemClock } from '../../src/base/clock.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { makeCounters } from '../../src/base/metrics.ts';
import { noTrace } from '../../src/base/trace.ts';
import { MESSAGE_TYPES } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import {
  ANY_DEVICE,
  ANY_LINK,
  BUILT_IN,
  PLAIN_ORIGIN,
} from '../../test/helpers/fakes/anyDevice.ts';
import { hello } from '../../test/helpers/fakes/device.ts';
import { FakeRoutes, NOBODY_TOLD } from '../../test/helpers/fakes/fakeRoutes.ts';

export interface IdleCosts {
  /** Processor time of the whole process per second, in microseconds. */
  readonly processUs: number;
  /** Time within the ticks per second, in microseconds. */
  readonly tickUs: number;
  readonly ticks: number;
}

/** Takes whatever is written, and says nothing beyond what it is given. */
class Nowhere extends Duplex {
  override _read(): void {}
  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    done();
  }
}

const [links = '0', seconds = '10'] = process.argv.slice(2);
const limits = makeLimits();
const counters = makeCounters(MESSAGE_TYPES);
const linksMax = Number.POSITIVE_INFINITY;
const endpoints = new Endpoints({
  protocols: BUILT_IN,
  limits,
  counters,
  clock: systemClock,
  spread: spreadBy(Math.random),
  busyShare: () => 0,
  linksMax,
  registry: new Registry<Endpoint>(),
  wills: new LinkWills({ limits, counters, trace: noTrace }),
  room: new RoomSignal(),
  routes: new FakeRoutes(),
  prover: ANY_DEVICE,
  restorer: ANY_LINK,
  presence: NOBODY_TOLD,
  refusals: NOBODY_TOLD,
});
const WAVE = 1_000;

for (let link = 0; link < Number(links); link += 1) {
  const socket = new Nowhere({ highWaterMark: limits.outboxSoftBytes });
  endpoints.accept(socket as unknown as Socket, 0, PLAIN_ORIGIN);
  socket.push(encode(hello(`device-${link}`, { keepalive: 3_600 })));
  if (link % WAVE === 0) await pause(1);
}
await pause(2_000);
if (counters.greetings > 0) throw new Error(`${counters.greetings} links have not been greeted`);

let tickUs = 0;
let ticks = 0;
const ticker = setInterval(() => {
  const from = performance.now();
  endpoints.tick();
  tickUs += (performance.now() - from) * 1_000;
  ticks += 1;
}, limits.sweepTickMs);
// The first rounds compile the code.
await pause(5_000);
tickUs = 0;
ticks = 0;
const from = performance.now();
const before = process.cpuUsage();
await pause(Number(seconds) * 1_000);
const { user, system } = process.cpuUsage(before);
const passed = (performance.now() - from) / 1_000;
clearInterval(ticker);
if (counters.links !== Number(links)) throw new Error(`only ${counters.links} links are left`);
process.send?.({
  processUs: (user + system) / passed,
  tickUs: tickUs / passed,
  ticks: ticks / passed,
} satisfies IdleCosts);
