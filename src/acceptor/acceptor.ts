/**
 * Acceptor: one process of the pool, put together. The whole path can be read off `build` and the
 * functions below it: nothing knows of what is made after it.
 * From: child.ts, with a config.  To: a listener, two AMQP connections, and back down in reverse.
 * Bound: a stop waits `drainMs` for messages in flight, then sends BYEs over `drainPaceMs`. It does
 * not listen before it knows whom the operator keeps out, however long that takes.
 */
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { systemClock } from '../base/clock.ts';
import type { Config } from '../base/config.ts';
import type { StartError } from '../base/errors.ts';
import type { ListenerConfig } from '../base/listeners.ts';
import { type Counters, makeCounters } from '../base/metrics.ts';
import { readCidrs } from '../base/networks.ts';
import { Ticker } from '../base/ticker.ts';
import { noTrace, traceTo } from '../base/trace.ts';
import { tryOrder } from '../broker/connection.ts';
import { Consumer } from '../broker/consumer.ts';
import { Publisher } from '../broker/publisher.ts';
import { names } from '../broker/topology.ts';
import { within } from '../node/drain.ts';
import { linksMaxOf } from '../node/files.ts';
import { registrarSocket, type StartMessage } from '../node/ipc.ts';
import type { FromLink } from '../node/messages.ts';
import type { Degraded } from '../node/report.ts';
import { MESSAGE_TYPES } from '../wire/message.ts';
import { v1Protocol } from '../wire/v1Protocol.ts';
import { AcceptorBroker } from './acceptorBroker.ts';
import { BrokerLossPolicy } from './brokerLossPolicy.ts';
import { sayBye, settled } from './drainLinks.ts';
import { Admission } from './endpoint/admission.ts';
import type { Endpoint } from './endpoint/endpoint.ts';
import { Endpoints } from './endpoint/endpoints.ts';
import type { BoundSocket } from './endpoint/listener.ts';
import { Listeners, speaksLater } from './endpoint/listeners.ts';
import type { Origin } from './endpoint/origin.ts';
import { watchBusy } from './endpoint/overload.ts';
import { Registry } from './endpoint/registry.ts';
import { RoomSignal } from './endpoint/roomSignal.ts';
import type { Presence, PublishedType, Routes } from './endpoint/routes.ts';
import { closeShard, openLinks } from './endpoint/shards.ts';
import { spreadBy } from './endpoint/spread.ts';
import { Addresses } from './establish/addresses.ts';
import { Entrance } from './establish/entrance.ts';
import { ListenerFiles, renewFiles } from './establish/listenerFiles.ts';
import { AuthClient } from './identity/authClient.ts';
import { BlockList } from './identity/blockList.ts';
import { Identities } from './identity/identities.ts';
import { LinkChanges } from './linkChanges.ts';
import { publishCounts } from './publishCounts.ts';
import { RefusalLog } from './refusalLog.ts';
import { DeviceCommands } from './route/deviceCommands.ts';
import { Downlink } from './route/downlink.ts';
import { Requests } from './route/requests.ts';
import { Uplink } from './route/uplink.ts';
import { StreamClient } from './streamClient.ts';

export interface AcceptorStart {
  readonly config: Config;
  /** 1 to the number of acceptors. */
  readonly index: number;
  /** Names this process's reply queue; never used again by another. */
  readonly incarnation: string;
  /** Private folder of this node's Unix sockets. */
  readonly folder: string;
  /** Of the Unix listeners, by name: bound handles. */
  readonly sockets: ReadonlyMap<string, BoundSocket>;
  /** 48 bytes, base64: of TLS tickets, the same in all acceptors. */
  readonly ticketKey: string;
  /** By listener: of files that cannot be used now. */
  readonly kept: StartMessage['kept'];
  /** 32 bytes, base64: of hashes of tokens, the same in all processes of the node. */
  readonly authSecret: string;
  readonly log: Logger;
  /** This process cannot continue: one sentence for the operator. */
  readonly onFatal: (error: StartError) => void;
}

export interface RunningAcceptor {
  readonly counters: Counters;
  /** Resolves when it listens, or is stopped before. Rejects with the listener's error. */
  listen(): Promise<void>;
  /** Why this acceptor is not ready, or `undefined` when it is. */
  notReady(): string | undefined;
  /** Which of its work makes no progress, and why. */
  degraded(): Degraded[];
  /** Read certificates, revocation lists and keys again. `ticketKey` as in AcceptorStart. */
  renewFiles(ticketKey: string): void;
  /** End gracefully. Resolves when every link has ended and the broker's connections are closed. */
  drain(): Promise<void>;
}

type AcceptorState = 'starting' | 'serving' | 'draining';

/** A broker that confirms nothing for so long is not merely slow. */
const OWED_MS = 3_000;
/** How long a drain waits for the broker to close. */
const CLOSE_BROKER_MS = 1_000;
/** How long a drain waits for the registrar to read the last ends. */
const CLOSE_STREAM_MS = 500;

/** The links there are, and word of room for their messages: what more than one way knows of. */
interface Shared {
  readonly start: AcceptorStart;
  readonly counters: Counters;
  readonly registry: Registry<Endpoint>;
  readonly room: RoomSignal;
  readonly blockList: BlockList;
}

const clock = systemClock;
const spread = spreadBy(Math.random);

/** All parts, each made before those that use it: the whole path can be read off. */
function build(start: AcceptorStart, linksMax: number) {
  const counters = makeCounters(MESSAGE_TYPES);
  const registry = new Registry<Endpoint>();
  const blockList = new BlockList();
  const shared = { start, counters, registry, room: new RoomSignal(), blockList };
  const toBroker = buildBroker(shared);
  const toRegistrar = buildRegistrar(shared);
  const routes = routesOf(toBroker.uplink, toRegistrar.commands);
  const presence = presenceOf(toRegistrar.changes, toRegistrar.stream);
  const toDevices = buildDevices(shared, linksMax, routes, presence, toRegistrar.backend);
  return { ...shared, ...toBroker, ...toRegistrar, ...toDevices };
}

/** Broker to device: consumer, downlink, registry. Device to broker: uplink, publisher. */
function buildBroker({ start, counters, registry, room }: Shared) {
  const { config, index, incarnation, log, onFatal } = start;
  const { limits, queueType } = config;
  const at = names(config.prefix);
  const requests = new Requests({ limits, counters, clock });
  const downlink = new Downlink({ registry, counters, requests });
  const consumer = new Consumer((delivery) => downlink.onDelivery(delivery));
  const onReturn = (messageId: string) => downlink.onReturn(messageId);
  const counts = publishCounts(counters);
  const publisherOf = (type: PublishedType) =>
    new Publisher({ limits, counts, onRoom: () => room.send(type), onReturn });
  const publishers = { event: publisherOf('event'), request: publisherOf('request') };
  const urls = tryOrder(config.amqp, index - 1);
  const toPublish = { publishers: [publishers.event, publishers.request] };
  const toBroker = { urls, names: at, queueType, incarnation, consumer, onFatal };
  const broker = new AcceptorBroker({ ...toBroker, ...toPublish, limits, counters, log });
  const replyTo = () => broker.replyTo;
  const isPersistent = config.eventDelivery === 'persistent';
  const uplink = new Uplink({ publishers, requests, names: at, replyTo, isPersistent, clock });
  return { requests, publishers, broker, uplink };
}

/** Every link is reported to the registrar; it sends takeovers and COMMANDs back. */
function buildRegistrar({ start, counters, registry }: Shared) {
  const { config, incarnation, folder } = start;
  const { limits, traceDir } = config;
  const trace = traceDir === '' ? noTrace : traceTo(traceDir, incarnation);
  const links = (shard: number) => openLinks(registry, shard);
  const changes = new LinkChanges({ links, clock, trace });
  const path = registrarSocket(folder);
  const stream = new StreamClient({ path, incarnation, limits, changes });
  const notify = (message: FromLink) => stream.answer(message);
  const { wall } = clock;
  const commands = new DeviceCommands({ registry, counters, limits, wall, trace, notify });
  const backend = new AuthClient({
    ...{ limits, wall, now: clock.now, secret: Buffer.from(start.authSecret, 'base64') },
    send: (message) => {
      stream.answer(message);
      return stream.isUp;
    },
  });
  return { changes, stream, commands, backend };
}

function routesOf(uplink: Uplink, commands: DeviceCommands): Routes {
  return {
    isFull: (type) => uplink.isFull(type),
    isSlow: () => uplink.isSlow(),
    onMessage: (endpoint, message) => uplink.onMessage(endpoint, message),
    onAnswer: (endpoint, message) => commands.onAnswer(endpoint, message),
    onEnd: (endpoint) => {
      uplink.onEnd(endpoint);
      commands.onEnd(endpoint);
    },
  };
}

function presenceOf(changes: LinkChanges, stream: StreamClient): Presence {
  return {
    onUp: (endpoint) => {
      changes.onUp(endpoint);
      stream.wake();
    },
    onDown: (endpoint, reason) => {
      changes.onDown(endpoint, reason);
      stream.wake();
    },
  };
}

/** Devices: listener, admission, endpoints. */
function buildDevices(
  shared: Shared,
  linksMax: number,
  routes: Routes,
  presence: Presence,
  backend: AuthClient,
) {
  const { start, counters, registry, room, blockList } = shared;
  const { config, log } = start;
  const { limits, listeners, onBrokerLoss: policy } = config;
  const refusals = new RefusalLog({ log, limits, clock });
  const files = new ListenerFiles(listeners, () => clock.wall(), start.kept);
  files.sayFaults(log);
  const addresses = addressesOf(config);
  const retryAfter = () => spread(limits.authRetryMs);
  const known = { files, addresses, backend, registry, blockList };
  const prover = new Identities({ listeners, ...known, retryAfter, clock });
  const around = { registry, room, routes, presence, refusals, prover };
  const links = { makeProtocol: v1Protocol, spread, linksMax, busyShare: watchBusy() };
  const endpoints = new Endpoints({ limits, counters, clock, ...links, ...around });
  const retryMs = limits.brokerLossRetryMs;
  const lossPolicy = new BrokerLossPolicy({
    policy,
    limits,
    log,
    closeShard: (shard) => closeShard(registry, shard, 'broker-lost', () => spread(retryMs)),
  });
  // A link to be refused has waited for its admission too, so refusals are paced as well.
  const onReady = (socket: Socket, acceptedUs: number, origin: Origin) => {
    if (!lossPolicy.isRefusing) endpoints.accept(socket, acceptedUs, origin);
    else endpoints.refuse(socket, 'broker-lost', retryMs);
  };
  const ticketKey = Buffer.from(start.ticketKey, 'base64');
  const ways = { listeners, files, addresses, ticketKey, onReady };
  const { onTurnedAway: onFailure } = refusals;
  const entrance = new Entrance({ limits, counters, clock, onFailure, ...ways });
  const admission = new Admission<Arrived>({
    limits,
    counters,
    clock,
    room: () => endpoints.room,
    admit: ({ socket, listener }, acceptedUs) => entrance.begin(listener, socket, acceptedUs),
    refuse: ({ socket, listener }, reason) =>
      endpoints.refuse(socket, reason, undefined, speaksLater(listener)),
  });
  const onSocket = (socket: Socket, listener: ListenerConfig) => {
    admission.arrive({ socket, listener });
  };
  const places = new Listeners(listeners, limits, onSocket);
  const toDevices = { endpoints, refusals, lossPolicy, admission, places };
  return { ...toDevices, files, identities: prover, entrance };
}

/** A socket, and where it was accepted. */
interface Arrived {
  readonly socket: Socket;
  readonly listener: ListenerConfig;
}

function addressesOf({ limits, allowFrom, denyFrom }: Config): Addresses {
  const networksOf = (cidrs: readonly string[]) =>
    cidrs.length === 0 ? undefined : readCidrs(cidrs);
  return new Addresses({ limits, allow: networksOf(allowFrom), deny: networksOf(denyFrom) });
}

type Parts = ReturnType<typeof build>;

class Acceptor implements RunningAcceptor {
  readonly #parts: Parts;
  readonly #ticker: Ticker;
  #state: AcceptorState = 'starting';

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#ticker = new Ticker(parts.start.config.limits.sweepTickMs, () => this.#tick());
  }

  get counters(): Counters {
    return this.#parts.counters;
  }

  open(): void {
    const { broker, stream, commands, backend, registry, blockList } = this.#parts;
    broker.start();
    stream.start({
      onTakeover: (connection) => registry.find(connection)?.close('taken-over'),
      onCommand: (command) => commands.onCommand(command),
      onBlockList: (message) => blockList.onMessage(message),
      onAuth: (message) => backend.onMessage(message),
      onLost: () => backend.onLost(),
      told: () => backend.told(),
    });
    this.#ticker.start();
  }

  async listen(): Promise<void> {
    const { start, places, blockList } = this.#parts;
    await blockList.known;
    if (this.#state !== 'starting') return;
    await places.listen(start.sockets);
    if (this.#isDraining) places.suspend();
    else this.#state = 'serving';
  }

  get #isDraining(): boolean {
    return this.#state === 'draining';
  }

  #tick(): void {
    const { lossPolicy, broker, entrance, endpoints, refusals, requests } = this.#parts;
    this.#parts.identities.tick();
    // A drain sends its own BYEs.
    if (this.#state === 'serving') lossPolicy.tick(broker.isUp, clock.now());
    entrance.tick(clock.now());
    endpoints.tick();
    refusals.tick(clock.now());
    requests.tick();
  }

  renewFiles(ticketKey: string): void {
    const { start, files, entrance, identities } = this.#parts;
    const before = files.all();
    renewFiles(start.config.listeners, files, start.log, (listener) =>
      entrance.renew(listener, Buffer.from(ticketKey, 'base64')),
    );
    identities.endWithdrawn(before);
  }

  notReady(): string | undefined {
    if (this.#isDraining) return 'draining';
    if (!this.#parts.blockList.isKnown) return 'no block list yet';
    if (this.#state !== 'serving') return this.#state;
    if (!this.#parts.broker.isUp) return 'no broker connection';
    // Until the policy has looked, new links would still be refused.
    return this.#parts.lossPolicy.isRefusing ? 'refusing links' : undefined;
  }

  degraded(): Degraded[] {
    const { broker, publishers, counters, files } = this.#parts;
    const old = files.faults.map((why) => ({ part: 'files' as const, reason: why }));
    if (!broker.canPublish) return old;
    const { event, request } = publishers;
    const reason = counters.brokerBlocked ? 'the broker blocks publishes' : 'no confirms';
    const parts = { events: event, requests: request };
    const slow = (['events', 'requests'] as const).filter((part) => parts[part].owedMs > OWED_MS);
    return [...old, ...slow.map((part) => ({ part, reason }))];
  }

  async drain(): Promise<void> {
    if (this.#isDraining) return;
    this.#state = 'draining';
    const { start, registry, endpoints, refusals, stream, broker } = this.#parts;
    const { log, config } = start;
    const links = registry.size;
    this.#suspend();
    log.info({ links, ...this.#underWay() }, 'drain: waiting for messages in flight');
    await settled(registry, () => this.#isUnderWay(), config.limits.drainMs);
    log.info({ links: registry.size, ...this.#underWay() }, 'drain: sending BYE');
    await sayBye(registry, config.limits, spread);
    await endpoints.emptied();
    await stream.close(CLOSE_STREAM_MS);
    // A broker that does not answer must not hold the process; its queue expires by itself.
    await within(CLOSE_BROKER_MS, broker.close());
    this.#ticker.stop();
    refusals.tick(Number.POSITIVE_INFINITY);
    log.info({ links }, 'drained');
  }

  /** Take no new link and no new message, whichever way it goes. */
  #suspend(): void {
    const { places, admission, entrance, endpoints, commands } = this.#parts;
    places.suspend();
    admission.close();
    entrance.close();
    endpoints.suspend();
    commands.suspend();
  }

  #underWay(): { requests: number; confirms: number } {
    const { requests, publishers } = this.#parts;
    const { event, request } = publishers;
    return { requests: requests.size, confirms: event.size + request.size };
  }

  /** Confirms come only from a broker that is there; REQUESTs end without it, at their deadline. */
  #isUnderWay(): boolean {
    const { requests, confirms } = this.#underWay();
    return requests > 0 || (confirms > 0 && this.#parts.broker.canPublish);
  }
}

/**
 * Start one acceptor in this process. It listens by `listen`; the broker's connections come up
 * beside it, and `notReady` says so until then.
 */
export function startAcceptor(start: AcceptorStart): RunningAcceptor {
  const acceptor = new Acceptor(build(start, linksMaxOf(start.config, start.index)));
  acceptor.open();
  return acceptor;
}
