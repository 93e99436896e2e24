/**
 * Endpoints: an acceptor's endpoints, put together with what all of them share; and what follows
 * when one of them opens, speaks, ends.
 * From: sockets that were admitted; each Endpoint, whose host this is.
 * To: `Routes`, which carry messages to the broker; `Presence`.
 * Bound: those of its parts: how many links (intake.ts), how long each of them may take
 * (linkDeadlines.ts, linkSweep.ts), what they may hold together (heavy.ts), and who waits for the
 * broker's room (roomQueues.ts).
 */
import type { Socket } from 'node:net';
import type { Clock } from '../../base/clock.ts';
import type { CloseReason, ProtocolError } from '../../base/errors.ts';
import { observeUs } from '../../base/histogram.ts';
import type { Limits } from '../../base/limits.ts';
import { spokenAt } from '../../base/listeners.ts';
import { bump, type Counters } from '../../base/metrics.ts';
import type { Ack, Event, Request, Result } from '../../wire/message.ts';
import type { Greeting, Protocols } from '../../wire/protocol.ts';
import type { Endpoint } from './endpoint.ts';
import { Heavy } from './heavy.ts';
import type { EndpointHost } from './host.ts';
import { Intake } from './intake.ts';
import { LinkDeadlines } from './linkDeadlines.ts';
import { LinkSweep } from './linkSweep.ts';
import type { LinkWills } from './linkWills.ts';
import type { Origin } from './origin.ts';
import { Flusher } from './outbox.ts';
import { Overload } from './overload.ts';
import type { AuthFailure, AuthVerdict, Proof } from './proof.ts';
import { Rate } from './rate.ts';
import { ReadGate } from './readGate.ts';
import type { Registry } from './registry.ts';
import { RoomQueues } from './roomQueues.ts';
import type { RoomSignal } from './roomSignal.ts';
import type { EndCause, Ends, Presence, Prover, Refusals, Restorer, Routes } from './routes.ts';
import type { LinkSnapshot, OwedClose } from './snapshot.ts';
import type { SocketHandle } from './socket.ts';
import type { Spread } from './spread.ts';

export interface EndpointsOptions {
  readonly protocols: Protocols;
  readonly limits: Limits;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly spread: Spread;
  readonly linksMax: number;
  /** Open files that count as links: they were not known when `linksMax` was. */
  readonly filesTaken?: () => number;
  /** The share of its time that the event loop has been at work, since this was last asked. */
  readonly busyShare: () => number;
  /** Who else knows of links' wills is handed the same object. */
  readonly wills: LinkWills;
  /** Where the links are found by others. */
  readonly registry: Registry<Endpoint>;
  /** Says when `routes` have room again. */
  readonly room: RoomSignal;
  readonly routes: Routes;
  readonly prover: Prover;
  readonly restorer: Restorer;
  readonly presence: Presence;
  readonly refusals: Refusals;
  readonly ends?: Ends;
  /** A link that is moving is to be closed. */
  readonly onOwed?: EndpointHost['onOwed'];
  /** Is told of each HELLO, before anything is made of it. */
  readonly onGreeting?: (endpoint: Endpoint, greeting: Greeting) => void;
}

/** Ends by which a device errs, besides the codes of ERROR. */
const FAULTS: ReadonlySet<CloseReason> = new Set(['greeting-timeout', 'outbox-full']);

export class Endpoints implements EndpointHost {
  readonly limits: Limits;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly flusher = new Flusher();
  readonly wills: LinkWills;
  readonly gate: ReadGate<Endpoint>;

  readonly #registry: Registry<Endpoint>;
  readonly #routes: Routes;
  readonly #prover: Prover;
  readonly #presence: Presence;
  readonly #refusals: Refusals;
  readonly #ends: Ends | undefined;
  readonly #onGreeting: EndpointsOptions['onGreeting'];
  readonly #onOwed: EndpointsOptions['onOwed'];
  readonly #rooms: RoomQueues<Endpoint>;
  readonly #deadlines: LinkDeadlines;
  readonly #heavy: Heavy<Endpoint>;
  readonly #overload: Overload;
  readonly #sweep: LinkSweep<Endpoint>;
  readonly #intake: Intake;
  #onEmpty: (() => void) | undefined;
  /** What was wrong with the link whose end follows at once. */
  #cause: EndCause | undefined;

  constructor(options: EndpointsOptions) {
    const { limits, counters, clock, registry, routes, refusals, spread, linksMax } = options;
    const { filesTaken = () => 0 } = options;
    const rooms = new RoomQueues<Endpoint>(options.room, (type) => routes.isFull(type));
    const deadlines = new LinkDeadlines(limits, clock, counters);
    const heavy = new Heavy<Endpoint>({
      bytesMax: limits.linksBytesMax,
      counters,
      retryAfter: () => spread(limits.serverFullRetryMs),
    });
    const overload = new Overload(limits, counters, {
      busyShare: options.busyShare,
      isBrokerSlow: () => routes.isSlow(),
    });
    const rate = new Rate(limits);
    const waits = { heavy, deadlines, rooms };
    this.gate = new ReadGate({ limits, counters, clock, rate, overload, ...waits });
    this.limits = limits;
    this.counters = counters;
    this.clock = clock;
    this.wills = options.wills;
    this.#registry = registry;
    this.#routes = routes;
    this.#prover = options.prover;
    this.#presence = options.presence;
    this.#refusals = refusals;
    this.#ends = options.ends;
    this.#onGreeting = options.onGreeting;
    this.#onOwed = options.onOwed;
    this.#rooms = rooms;
    this.#deadlines = deadlines;
    this.#heavy = heavy;
    this.#overload = overload;
    this.#sweep = new LinkSweep(registry);
    const { restorer, protocols } = options;
    const around = { registry, deadlines, refusals, restorer, protocols };
    this.#intake = new Intake({ host: this, ...around, linksMax, filesTaken, spread });
    counters.linksMax = linksMax;
  }

  /** Sockets that fit below `linksMax`. */
  get room(): number {
    return this.#intake.room;
  }

  /** Own an accepted socket from now on. */
  accept(socket: Socket, acceptedUs: number, origin: Origin): void {
    this.#intake.accept(socket, acceptedUs, origin);
  }

  /**
   * Take a link that another process had. It is read once its endpoint thaws. Undefined when it
   * cannot be taken: this acceptor is full, has no such listener, or does not know the protocol.
   */
  adopt(snapshot: LinkSnapshot, handle: SocketHandle): Endpoint | undefined {
    return this.#intake.adopt(snapshot, handle);
  }

  /** Tell a new device to come back later. */
  refuse(...refused: Parameters<Intake['refuse']>): void {
    this.#intake.refuse(...refused);
  }

  /** End what is overdue, and look at the next shards, at the memory of links, at the load. */
  tick(): void {
    const now = this.clock.now();
    this.#sweep.tick(now);
    this.#deadlines.tick(now);
    this.#heavy.tick();
    this.#overload.tick(now);
  }

  /** Hand nothing more to the routes. Links that send are paused as they do so. */
  suspend(): void {
    this.#rooms.suspend();
  }

  /** Resolves when no link is left, lingering ones included. */
  emptied(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
      this.#checkEmpty();
    });
  }

  #checkEmpty(): void {
    if (this.#registry.size === 0 && this.#deadlines.lingering === 0) this.#onEmpty?.();
  }

  // EndpointHost.

  onHeavy(endpoint: Endpoint): void {
    this.#heavy.add(endpoint);
  }

  prove(endpoint: Endpoint, greeting: Greeting): AuthVerdict | Promise<AuthVerdict> {
    this.#onGreeting?.(endpoint, greeting);
    return this.#prover.prove(endpoint, greeting);
  }

  onNoProof(endpoint: Endpoint, deviceId: string, failure: AuthFailure): void {
    const { code, reason, sentence: message } = failure;
    this.#cause = { why: message, deviceId };
    bump(this.counters.authFailures, reason);
    this.#refusals.onRefusal({ deviceId, peer: endpoint.peer }, code, { message });
    // Of the others one is not the device's fault, and the other has proved who it is: those that
    // share its address must not pay for it.
    if (code === 'auth-failed') this.#prover.onNoProof(endpoint);
  }

  onNotAllowed(_endpoint: Endpoint): void {
    this.counters.notAllowed += 1;
  }

  onOpen(endpoint: Endpoint, { method, expiresAt }: Proof): void {
    bump(this.counters.proofs, method);
    if (endpoint.origin) bump(this.counters.opens, spokenAt(endpoint.origin.listener));
    observeUs(this.counters.connectSeconds, this.clock.us() - endpoint.acceptedUs);
    this.#deadlines.opened(endpoint, expiresAt);
    this.#presence.onUp(endpoint);
  }

  onMessage(endpoint: Endpoint, message: Event | Request): void {
    this.#rooms.took(message.type);
    this.#routes.onMessage(endpoint, message);
  }

  onAnswer(endpoint: Endpoint, message: Ack | Result): void {
    this.#routes.onAnswer(endpoint, message);
  }

  onReady(endpoint: Endpoint): void {
    this.#routes.onReady(endpoint);
  }

  onError(endpoint: Endpoint, error: ProtocolError): void {
    this.#cause = { why: error.message };
    this.#refusals.onRefusal(endpoint, error.code, error);
  }

  onEnd(endpoint: Endpoint, reason: CloseReason): void {
    bump(this.counters.closes, reason);
    endpoint.tap?.onEnd(endpoint, reason);
    this.#ends?.onEnd(endpoint, reason, this.#cause);
    this.#cause = undefined;
    if (FAULTS.has(reason)) this.#refusals.onRefusal(endpoint, reason);
    this.#deadlines.ended(endpoint);
    this.#forget(endpoint);
    if (endpoint.deviceId !== '') this.#presence.onDown(endpoint, reason);
    this.wills.forget(endpoint.id);
  }

  onLeft(endpoint: Endpoint): void {
    bump(this.counters.moves, 'out');
    endpoint.tap?.onMoved(endpoint);
    endpoint.tap = undefined;
    this.#deadlines.moved(endpoint);
    this.gate.unpause(endpoint);
    this.#forget(endpoint);
    this.wills.forget(endpoint.id);
  }

  onOwed(endpoint: Endpoint, reason: OwedClose['reason']): void {
    this.#onOwed?.(endpoint, reason);
  }

  /** It is no link of this acceptor any more. */
  #forget(endpoint: Endpoint): void {
    if (this.#registry.unregister(endpoint)) this.counters.links -= 1;
    this.#rooms.delete(endpoint);
    this.#routes.onEnd(endpoint);
  }

  onClosed(endpoint: Endpoint): void {
    this.counters.sockets -= 1;
    this.#heavy.forget(endpoint);
    this.#deadlines.closed(endpoint);
    this.#checkEmpty();
  }
}
