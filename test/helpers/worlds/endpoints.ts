/**
 * Endpoints for tests: in this process, over real TCP or over a pair of streams, with
 * fake routes and a clock that only the test moves.
 * From: component, fault and property tests.  To: src/acceptor/endpoint, as an acceptor builds it.
 * Bound: `end` closes every device and asserts that all gauges are back at 0.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { Endpoint } from '../../../src/acceptor/endpoint/endpoint.ts';
import { Endpoints, type EndpointsOptions } from '../../../src/acceptor/endpoint/endpoints.ts';
import { LinkWills } from '../../../src/acceptor/endpoint/linkWills.ts';
import { Listener } from '../../../src/acceptor/endpoint/listener.ts';
import type { Origin } from '../../../src/acceptor/endpoint/origin.ts';
import { Registry } from '../../../src/acceptor/endpoint/registry.ts';
import { RoomSignal } from '../../../src/acceptor/endpoint/roomSignal.ts';
import type { Prover, Refusals } from '../../../src/acceptor/endpoint/routes.ts';
import { spreadBy } from '../../../src/acceptor/endpoint/spread.ts';
import {
  type LimitName,
  type Limits,
  makeLimits,
  SHARDS,
  SHARDS_PER_TICK,
} from '../../../src/base/limits.ts';
import type { ProtocolWord } from '../../../src/base/listeners.ts';
import { type Counters, makeCounters } from '../../../src/base/metrics.ts';
import { noTrace } from '../../../src/base/trace.ts';
import { MESSAGE_TYPES, type Message, TYPE } from '../../../src/wire/message.ts';
import type { Protocols } from '../../../src/wire/protocol.ts';
import { ANY_DEVICE, ANY_LINK, BUILT_IN, PLAIN_ORIGIN } from '../fakes/anyDevice.ts';
import { FakeClock } from '../fakes/clock.ts';
import { Device, hello } from '../fakes/device.ts';
import { FakeRoutes, NOBODY_TOLD } from '../fakes/fakeRoutes.ts';

export type Transport = 'TCP' | 'pair';
export const TRANSPORTS: readonly Transport[] = ['TCP', 'pair'];

export interface ServedOptions {
  readonly limits?: Partial<Record<LimitName, number>>;
  readonly linksMax?: number;
  readonly refusals?: Refusals;
  readonly prover?: Prover;
  readonly onGreeting?: EndpointsOptions['onGreeting'];
  /** What devices speak; `owsla` if not given. */
  readonly protocol?: ProtocolWord | `/${string}`;
  /** Those that are built in, if not given. */
  readonly protocols?: Protocols;
  /** Where TCP listens. */
  readonly host?: string;
  readonly random?: () => number;
  readonly busyShare?: () => number;
}

/** Wait, turn by turn of the event loop, until `holds`. The test's own timeout is the bound. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn();
}

/** Enough turns for bytes already written to arrive, be handled and be answered. */
export async function settle(): Promise<void> {
  for (let turns = 0; turns < 8; turns += 1) await turn();
}

export class Served {
  readonly clock = new FakeClock();
  readonly counters: Counters = makeCounters(MESSAGE_TYPES);
  readonly registry = new Registry<Endpoint>();
  readonly room = new RoomSignal();
  readonly routes = new FakeRoutes();
  /** Our ends of the links, in the order of accepting. */
  readonly sockets: Socket[] = [];
  readonly limits: Limits;
  readonly wills: LinkWills;
  readonly endpoints: Endpoints;
  readonly #transport: Transport;
  readonly #host: string;
  readonly #listener: Listener;
  readonly #origin: Origin;
  readonly #links: Duplex[] = [];

  constructor(transport: Transport, options: ServedOptions) {
    this.#transport = transport;
    const { protocol = 'owsla' } = options;
    this.#origin = { ...PLAIN_ORIGIN, listener: { ...PLAIN_ORIGIN.listener, protocol } };
    this.#host = options.host ?? '127.0.0.1';
    this.limits = makeLimits(options.limits);
    this.wills = new LinkWills({
      limits: this.limits,
      counters: this.counters,
      trace: noTrace,
    });
    this.endpoints = new Endpoints({
      protocols: options.protocols ?? BUILT_IN,
      limits: this.limits,
      counters: this.counters,
      clock: this.clock,
      spread: spreadBy(options.random ?? (() => 0.5)),
      busyShare: options.busyShare ?? (() => 0),
      linksMax: options.linksMax ?? Number.POSITIVE_INFINITY,
      registry: this.registry,
      room: this.room,
      wills: this.wills,
      routes: this.routes,
      prover: options.prover ?? ANY_DEVICE,
      restorer: ANY_LINK,
      presence: NOBODY_TOLD,
      refusals: options.refusals ?? NOBODY_TOLD,
      onGreeting: (endpoint, greeting) => options.onGreeting?.(endpoint, greeting),
    });
    this.#listener = new Listener(this.limits, (socket) => this.#accept(socket));
  }

  #accept(socket: Socket): void {
    this.sockets.push(socket);
    this.endpoints.accept(socket, this.clock.us(), this.#origin);
  }

  async begin(): Promise<void> {
    if (this.#transport === 'TCP') await this.#listener.listen(this.#host, 0);
  }

  get port(): number {
    return this.#listener.port;
  }

  /** A connected device that has not said HELLO, accepted by its endpoints. */
  async connect(): Promise<Device> {
    return new Device(await this.link());
  }

  /** The device's end of a link that was accepted, for devices that speak something else. */
  async link(): Promise<Duplex> {
    const { accepts } = this.counters;
    const link = await this.#socket();
    await until(() => this.counters.accepts > accepts);
    this.#links.push(link);
    return link;
  }

  async #socket(): Promise<Duplex> {
    if (this.#transport === 'pair') {
      const [ours, theirs] = duplexPair({ highWaterMark: this.limits.outboxSoftBytes });
      // What a pair lacks of a Socket, an endpoint does without.
      this.#accept(ours as Socket);
      return theirs;
    }
    // Half-open, so that the test decides when the device answers a FIN.
    const at = { host: '127.0.0.1', port: this.port, noDelay: true, allowHalfOpen: true };
    const socket = connect(at);
    await once(socket, 'connect');
    return socket;
  }

  /** A device that has been WELCOMEd. */
  async open(deviceId = 'door-17', options: Partial<Message> = {}): Promise<Device> {
    const device = await this.connect();
    device.send(hello(deviceId, options));
    await device.expect(TYPE.WELCOME);
    return device;
  }

  /** The live endpoint of a device. */
  endpoint(deviceId = 'door-17'): Endpoint {
    for (let shard = 0; shard < SHARDS; shard += 1) {
      for (const endpoint of this.registry.shard(shard)) {
        if (endpoint.deviceId === deviceId) return endpoint;
      }
    }
    throw new Error(`no live link of ${deviceId}`);
  }

  /** Time passes, and then every shard and deadline is judged once. */
  pass(ms: number): void {
    this.clock.advance(ms);
    for (let shard = 0; shard < SHARDS; shard += SHARDS_PER_TICK) this.endpoints.tick();
  }

  /** Room for `messages` more at the broker. */
  makeRoom(messages = Number.POSITIVE_INFINITY): void {
    this.routes.room = messages;
    this.room.send(TYPE.EVENT);
    this.room.send(TYPE.REQUEST);
  }

  /** The links' gauges; all are 0 when nothing is connected. */
  gauges(): Record<'links' | 'greetings' | 'lingering' | 'pausedLinks', number> {
    const { links, greetings, lingering, pausedLinks } = this.counters;
    return { links, greetings, lingering, pausedLinks };
  }

  async end(): Promise<void> {
    this.#listener.suspend();
    for (const link of this.#links) link.destroy();
    await until(() => {
      this.pass(this.limits.lingerMs);
      return Object.values(this.gauges()).every((gauge) => gauge === 0);
    });
    assert.equal(this.registry.size, 0);
    assert.equal(this.routes.ended.length, new Set(this.routes.ended).size, 'ended twice');
    const closes = Object.values(this.counters.closes).reduce((sum, count) => sum + count, 0);
    const { in: came = 0, out: left = 0 } = this.counters.moves;
    const { accepts } = this.counters;
    assert.equal(closes + left, accepts + came, 'each link is closed for one reason, or has left');
  }
}

type Body = (t: Test, served: Served) => Promise<void>;

/** One test on one transport; the gauges must be back at 0 when its devices are gone. */
export function on(transport: Transport, promise: string, options: ServedOptions, body: Body) {
  t.test(`${promise} (${transport})`, async (t) => {
    const served = new Served(transport, options);
    await served.begin();
    try {
      await body(t, served);
    } finally {
      await served.end();
    }
  });
}

/** The same test over real TCP and over a pair of streams. */
export function onBoth(promise: string, options: ServedOptions, body: Body): void {
  for (const transport of TRANSPORTS) on(transport, promise, options, body);
}
