/**
 * Endpoints: an acceptor's endpoints, their deadlines and weight, and who waits for the broker's
 * room.
 * From: the listener's sockets.  To: `Routes`, which carry messages to the broker.
 * Bound: one tick sweeps SHARDS_PER_TICK shards of the registry and at most SWEEP_MAX deadlines of
 * each kind; `refusingMax` refused links linger at once, more are reset; waiters are at most the
 * links (roomQueue.ts).
 */
import type { Socket } from 'node:net';
import { v4 as uuid } from 'uuid';
import type { Clock } from '../../base/clock.ts';
import { Deadlines } from '../../base/deadlines.ts';
import type { ByeReason, CloseReason, ProtocolError } from '../../base/errors.ts';
import { type Limits, SHARDS, SHARDS_PER_TICK } from '../../base/limits.ts';
import { bump, type Counters } from '../../base/metrics.ts';
import type { Ack, Event, Request, Result } from '../../wire/message.ts';
import type { ProtocolFactory } from '../../wire/protocol.ts';
import { Endpoint } from './endpoint.ts';
import { Heavy } from './heavy.ts';
import type { EndpointHost } from './host.ts';
import { Flusher } from './outbox.ts';
import { Overload } from './overload.ts';
import { peerOf } from './peer.ts';
import { Rate } from './rate.ts';
import { Registry } from './registry.ts';
import { RoomQueue } from './roomQueue.ts';

/** Messages that go to the broker. Each type has its own room there, and its own line. */
export type PublishedType = (Event | Request)['type'];

/** Where an endpoint's messages go. */
export interface Routes {
  /** No more messages of this type now; `Endpoints.makeRoom` says when there is room again. */
  isFull(type: PublishedType): boolean;
  /** The broker takes longer than it does when it has little to do. */
  isSlow(): boolean;
  onMessage(endpoint: Endpoint, message: Event | Request): void;
  onAnswer(endpoint: Endpoint, message: Ack | Result): void;
  /** The link is over: nothing can be sent to it any more. */
  onEnd(endpoint: Endpoint): void;
}

/** Who is told of links that opened (HELLO was accepted) and of the ends of these. */
export interface Presence {
  onUp(endpoint: Endpoint): void;
  onDown(endpoint: Endpoint, reason: CloseReason): void;
}

/** What a log may say of a link. Both are empty where they are not known. */
export interface RefusedLink {
  readonly deviceId: string;
  readonly peer: string;
}

/** Who is told of links that are refused, or end by what their device did wrong. */
export interface Refusals {
  onRefusal(link: RefusedLink, reason: CloseReason, error?: ProtocolError): void;
}

export interface EndpointsOptions {
  readonly makeProtocol: ProtocolFactory;
  readonly limits: Limits;
  readonly counters: Counters;
  readonly clock: Clock;
  /** 0 to 1, for spreading retryAfter. */
  readonly random: () => number;
  readonly linksMax: number;
  /** The share of its time that the event loop has been at work, since this was last asked. */
  readonly busyShare: () => number;
  readonly refusals?: Refusals;
}

/** Ends by which a device errs, besides the codes of ERROR. */
const FAULTS: ReadonlySet<CloseReason> = new Set(['greeting-timeout', 'outbox-full']);

/** How long a link that sends too much is not read from, before it is looked at again. */
const THROTTLE_MS = 50;

export class Endpoints implements EndpointHost {
  readonly makeProtocol: ProtocolFactory;
  readonly limits: Limits;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly flusher = new Flusher();
  readonly rate: Rate;
  readonly overload: Overload;
  readonly registry = new Registry<Endpoint>();

  readonly #random: () => number;
  readonly #linksMax: number;
  readonly #refusals: Refusals | undefined;
  readonly #greetings: Deadlines<Endpoint>;
  readonly #lingering: Deadlines<Endpoint>;
  readonly #throttled: Deadlines<Endpoint>;
  readonly #waiting: Readonly<Record<PublishedType, RoomQueue<Endpoint>>>;
  readonly #heavy: Heavy<Endpoint>;
  #routes: Routes | undefined;
  #presence: Presence | undefined;
  #isSuspended = false;
  #refusing = 0;
  #shard = 0;
  #onEmpty: (() => void) | undefined;

  constructor(options: EndpointsOptions) {
    const { makeProtocol, limits, counters, clock, random, linksMax, refusals, busyShare } =
      options;
    this.makeProtocol = makeProtocol;
    this.limits = limits;
    this.rate = new Rate(limits);
    this.overload = new Overload(limits, counters, {
      busyShare,
      isBrokerSlow: () => this.#routes?.isSlow() === true,
    });
    this.counters = counters;
    this.clock = clock;
    this.#random = random;
    this.#linksMax = linksMax;
    this.#refusals = refusals;
    this.#greetings = new Deadlines(limits.greetingMs, (endpoint) => {
      endpoint.close('greeting-timeout');
    });
    this.#lingering = new Deadlines(limits.lingerMs, (endpoint) => endpoint.destroy());
    this.#throttled = new Deadlines(THROTTLE_MS, (endpoint) => endpoint.wake());
    const waiting = (type: PublishedType) => new RoomQueue<Endpoint>(() => this.#isFull(type));
    this.#waiting = { event: waiting('event'), request: waiting('request') };
    this.#heavy = new Heavy({
      bytesMax: limits.linksBytesMax,
      counters,
      retryAfter: () => this.#spread(limits.serverFullRetryMs),
    });
    counters.linksMax = linksMax;
  }

  /** Set once, before the first socket: endpoints and routes need each other. */
  connect(routes: Routes, presence?: Presence): void {
    this.#routes = routes;
    this.#presence = presence;
  }

  /** Sockets that fit below `linksMax`. One that lingers takes up room until it is gone. */
  get room(): number {
    return this.#linksMax - (this.counters.sockets - this.#refusing);
  }

  /** Own an accepted socket from now on. A full acceptor says so and lets it go. */
  accept(socket: Socket, acceptedUs: number = this.clock.us()): void {
    if (this.room <= 0) {
      this.refuse(socket, 'server-full');
      return;
    }
    this.counters.accepts += 1;
    this.counters.sockets += 1;
    const endpoint = new Endpoint(uuid(), socket, this, acceptedUs);
    this.registry.register(endpoint);
    this.counters.links += 1;
    this.#greetings.add(endpoint, this.clock.now());
    this.counters.greetings = this.#greetings.size;
  }

  /** Tell a new device to come back later. Beyond `refusingMax` at once it is told by a reset. */
  refuse(socket: Socket, reason: ByeReason, spreadMs = this.limits.serverFullRetryMs): void {
    this.counters.accepts += 1;
    if (this.#refusing >= this.limits.refusingMax) {
      bump(this.counters.closes, reason);
      this.#refusals?.onRefusal(strangerOf(socket), reason);
      socket.resetAndDestroy();
      return;
    }
    this.counters.sockets += 1;
    this.#refusing += 1;
    socket.once('close', () => {
      this.#refusing -= 1;
    });
    const endpoint = new Endpoint(uuid(), socket, this, this.clock.us());
    this.#refusals?.onRefusal(endpoint, reason);
    endpoint.close(reason, this.#spread(spreadMs));
  }

  #spread(ms: number): number {
    return Math.round(this.#random() * ms);
  }

  // EndpointHost.

  #isFull(type: PublishedType): boolean {
    return this.#isSuspended || this.#routes?.isFull(type) === true;
  }

  hasRoom(endpoint: Endpoint, { type }: Event | Request): boolean {
    return this.#waiting[type].hasRoom(endpoint);
  }

  waitForRoom(endpoint: Endpoint, { type }: Event | Request): void {
    this.#waiting[type].add(endpoint);
  }

  waitForTime(endpoint: Endpoint): void {
    if (this.#throttled.has(endpoint)) return;
    this.counters.throttled += 1;
    this.#throttled.add(endpoint, this.clock.now());
  }

  isGreedy(endpoint: Endpoint): boolean {
    return this.#heavy.isGreedy(endpoint);
  }

  onHeavy(endpoint: Endpoint): void {
    this.#heavy.add(endpoint);
  }

  onOpen(endpoint: Endpoint): void {
    this.#greetings.delete(endpoint);
    this.counters.greetings = this.#greetings.size;
    this.#presence?.onUp(endpoint);
  }

  onMessage(endpoint: Endpoint, message: Event | Request): void {
    this.#waiting[message.type].took();
    this.#routes?.onMessage(endpoint, message);
  }

  onAnswer(endpoint: Endpoint, message: Ack | Result): void {
    this.#routes?.onAnswer(endpoint, message);
  }

  onError(endpoint: Endpoint, error: ProtocolError): void {
    this.#refusals?.onRefusal(endpoint, error.code, error);
  }

  onEnd(endpoint: Endpoint, reason: CloseReason): void {
    bump(this.counters.closes, reason);
    if (FAULTS.has(reason)) this.#refusals?.onRefusal(endpoint, reason);
    // A greeting that fell due has left the deadlines before it ends: the size tells, not this.
    this.#greetings.delete(endpoint);
    this.counters.greetings = this.#greetings.size;
    if (this.registry.unregister(endpoint)) this.counters.links -= 1;
    for (const waiting of Object.values(this.#waiting)) waiting.delete(endpoint);
    this.#throttled.delete(endpoint);
    this.#lingering.add(endpoint, this.clock.now());
    this.counters.lingering = this.#lingering.size;
    this.#routes?.onEnd(endpoint);
    if (endpoint.deviceId !== '') this.#presence?.onDown(endpoint, reason);
  }

  onClosed(endpoint: Endpoint): void {
    this.counters.sockets -= 1;
    this.#heavy.forget(endpoint);
    this.#lingering.delete(endpoint);
    this.counters.lingering = this.#lingering.size;
    this.#checkEmpty();
  }

  /** The routes have room for messages of this type. */
  makeRoom(type: PublishedType): void {
    if (!this.#isSuspended) this.#waiting[type].serve();
  }

  /** One tick: look at the endpoints of the next shards, and end what is overdue. */
  tick(): void {
    const now = this.clock.now();
    for (let swept = 0; swept < SHARDS_PER_TICK; swept += 1) {
      for (const endpoint of this.registry.shard(this.#shard)) endpoint.sweep(now);
      this.#shard = (this.#shard + 1) % SHARDS;
    }
    this.#greetings.sweep(now);
    this.#lingering.sweep(now);
    this.#throttled.sweep(now);
    this.#heavy.tick();
    this.overload.tick(now);
  }

  // The end.

  /** Hand nothing more to the routes. Links that send are paused as they do so. */
  suspend(): void {
    this.#isSuspended = true;
  }

  /**
   * Does a link of this shard still have bytes to be taken by its device? A drain asks shard by
   * shard and stays with the first that has, so that it never walks the whole fleet in one step.
   */
  hasOutboxBytes(shard: number): boolean {
    for (const endpoint of this.registry.shard(shard)) {
      if (endpoint.outboxBytes > 0) return true;
    }
    return false;
  }

  /** Those of one registry shard that have said HELLO. */
  *openLinks(shard: number): Iterable<Endpoint> {
    for (const endpoint of this.registry.shard(shard)) {
      if (endpoint.state === 'open') yield endpoint;
    }
  }

  /** Say BYE to the links of one shard. */
  closeShard(index: number, reason: ByeReason, retrySpreadMs: number): void {
    for (const endpoint of this.registry.shard(index)) {
      endpoint.close(reason, this.#spread(retrySpreadMs));
    }
  }

  /** Resolves when no link is left, lingering ones included. */
  emptied(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
      this.#checkEmpty();
    });
  }

  #checkEmpty(): void {
    if (this.registry.size === 0 && this.#lingering.size === 0) this.#onEmpty?.();
  }
}

/** A link that has no endpoint. Its address costs a system call, so it is looked up when asked. */
function strangerOf(socket: Socket): RefusedLink {
  return {
    deviceId: '',
    get peer() {
      return peerOf(socket);
    },
  };
}
