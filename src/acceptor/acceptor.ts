/**
 * Acceptor: one process of the pool, put together. The whole path can be read off `build` and the
 * functions below it: nothing knows of what is made after it.
 * From: child.ts, with a config.  To: a listener, two AMQP connections, and back down in reverse.
 * Bound: a stop waits `drainMs` for messages in flight, then sends BYEs over `drainPaceMs`. It does
 * not listen before it knows whom the operator keeps out, however long that takes.
 */
import { systemClock } from '../base/clock.ts';
import { type Counters, makeCounters } from '../base/metrics.ts';
import { Ticker } from '../base/ticker.ts';
import { noTrace, traceTo } from '../base/trace.ts';
import { tryOrder } from '../broker/connection.ts';
import { Consumer } from '../broker/consumer.ts';
import { Publisher } from '../broker/publisher.ts';
import { names } from '../broker/topology.ts';
import type { Concern } from '../node/alarmNames.ts';
import { within } from '../node/drain.ts';
import { linksMaxOf } from '../node/files.ts';
import { registrarSocket } from '../node/ipc.ts';
import type { FromLink } from '../node/messages.ts';
import { type Degraded, DRAINED } from '../node/report.ts';
import { MESSAGE_TYPES } from '../wire/message.ts';
import { AcceptorBroker } from './acceptorBroker.ts';
import { degradedOf } from './degraded.ts';
import { buildDevices } from './devices.ts';
import { sayBye, settled } from './drainLinks.ts';
import type { Endpoint } from './endpoint/endpoint.ts';
import { LinkWills } from './endpoint/linkWills.ts';
import { Registry } from './endpoint/registry.ts';
import { RoomSignal } from './endpoint/roomSignal.ts';
import type { PublishedType } from './endpoint/routes.ts';
import { openLinks } from './endpoint/shards.ts';
import { spreadBy } from './endpoint/spread.ts';
import type { UnixRoom } from './endpoint/unixRoom.ts';
import { renewFiles } from './establish/listenerFiles.ts';
import { AuthClient } from './identity/authClient.ts';
import { BlockList } from './identity/blockList.ts';
import { LinkChanges } from './linkChanges.ts';
import type { GivenHandles, ListenerMove } from './move/listenerMove.ts';
import type { Moves } from './move/moves.ts';
import { giverOf, listenerMoveOf, movesOf } from './moving.ts';
import { makeOperate, type Operate } from './operate/operate.ts';
import { publishCounts } from './publishCounts.ts';
import { DeviceCommands } from './route/deviceCommands.ts';
import { Downlink } from './route/downlink.ts';
import { Requests } from './route/requests.ts';
import { Uplink } from './route/uplink.ts';
import type { AcceptorStart, Shared } from './shared.ts';
import { StreamClient } from './streamClient.ts';
import { presenceOf, routesOf } from './ways.ts';

export interface RunningAcceptor {
  readonly counters: Counters;
  /** What people ask of its links, and do to them. */
  readonly operate: Operate;
  /** Its part in a reload. */
  readonly moves: Moves;
  readonly listenerMove: ListenerMove;
  /** Of its Unix sockets, when it has asked for them. */
  readonly unixRoom: UnixRoom;
  /** A successor needs no more than links. */
  readonly isPrepared: boolean;
  /** Resolves when it listens, or is stopped before. Rejects with the listener's error. */
  listen(): Promise<void>;
  /** Why this acceptor is not ready, or `undefined` when it is. */
  notReady(): string | undefined;
  /** Which of its work makes no progress, and why. */
  degraded(): Degraded[];
  /** Which of its files end, and when. */
  concerns(): Concern[];
  /** Read certificates, revocation lists and keys again. `ticketKey` as in AcceptorStart. */
  renewFiles(ticketKey: string): void;
  /** End gracefully. Resolves when every link has ended and the broker's connections are closed. */
  drain(): Promise<void>;
}

type AcceptorState = 'starting' | 'serving' | 'draining';

/** How long a drain waits for the broker to close. */
const CLOSE_BROKER_MS = 1_000;
/** How long a drain waits for the registrar to read the last ends. */
const CLOSE_STREAM_MS = 500;

const clock = systemClock;
const spread = spreadBy(Math.random);

/** All parts, each made before those that use it: the whole path can be read off. */
function build(start: AcceptorStart, linksMax: number) {
  const counters = makeCounters(MESSAGE_TYPES);
  const registry = new Registry<Endpoint>();
  const blockList = new BlockList();
  const { limits, traceDir } = start.config;
  const trace = traceDir === '' ? noTrace : traceTo(traceDir, start.incarnation);
  const wills = new LinkWills({ limits, counters, trace });
  const parts = { counters, registry, room: new RoomSignal(), blockList, wills, trace };
  const { protocols } = start.own;
  const shared = { start, protocols, ...parts };
  const toBroker = buildBroker(shared);
  const toRegistrar = buildRegistrar(shared);
  const routes = routesOf(toBroker.uplink, toRegistrar.commands);
  const presence = presenceOf(toRegistrar.changes, toRegistrar.stream);
  const operate = buildOperate(shared, toBroker.requests, toRegistrar.commands);
  const operated = { ...shared, operate };
  const out = giverOf(operated, toRegistrar);
  const { onOwed } = out.giver;
  const { backend } = toRegistrar;
  const toDevices = buildDevices(operated, { linksMax, routes, presence, backend, onOwed });
  const moves = movesOf(operated, toRegistrar, out, toDevices.endpoints);
  return { ...operated, ...toBroker, ...toRegistrar, ...toDevices, moves, out };
}

/** Broker to device: consumer, downlink, registry. Device to broker: uplink, publisher. */
function buildBroker({ start, counters, registry, room }: Shared) {
  const { config, index, incarnation, log, onFatal } = start;
  const { limits, queueType } = config;
  const at = names(config.prefix);
  const requests = new Requests({ limits, counters, clock, onFailed: () => broker.doubt() });
  const downlink = new Downlink({ registry, counters, requests });
  const consumer = new Consumer((delivery) => downlink.onDelivery(delivery));
  const onReturn = (messageId: string) => downlink.onReturn(messageId);
  const counts = publishCounts(counters);
  const publisherOf = (type: PublishedType) =>
    new Publisher({ limits, counts, onRoom: () => room.send(type), onReturn });
  const publishers = { event: publisherOf('event'), request: publisherOf('request') };
  const urls = tryOrder(config.amqp, index - 1);
  const toBroker = { urls, names: at, queueType, incarnation, consumer, onFatal };
  const broker = new AcceptorBroker({ ...toBroker, publishers, limits, counters, log });
  const replyTo = () => broker.replyTo;
  const isPersistent = config.eventDelivery === 'persistent';
  const toUplink = { publishers, requests, names: at, replyTo, isPersistent };
  const uplink = new Uplink({ ...toUplink, counters, clock });
  return { requests, publishers, broker, uplink };
}

/** Every link is reported to the registrar; it sends takeovers and COMMANDs back. */
function buildRegistrar({ start, counters, registry, wills, trace }: Shared) {
  const { config, incarnation, folder } = start;
  const { limits } = config;
  const links = (shard: number) => openLinks(registry, shard);
  const changes = new LinkChanges({ links, clock, trace, wills, limits, counters });
  const path = registrarSocket(folder);
  const stream = new StreamClient({ path, incarnation, limits, changes });
  const notify = (message: FromLink) => stream.answer(message);
  const { wall } = clock;
  const hasMoved = (connection: string) => changes.hasGiven(connection);
  const known = { registry, counters, limits, wall, trace, notify, hasMoved };
  const commands = new DeviceCommands(known);
  const backend = new AuthClient({
    ...{ limits, wall, now: clock.now, secret: Buffer.from(start.authSecret, 'base64') },
    send: (message) => {
      stream.answer(message);
      return stream.isUp;
    },
  });
  return { changes, stream, commands, backend, trace };
}

/** People: pages of links, those that have ended, a drain. */
function buildOperate(shared: Shared, requests: Requests, commands: DeviceCommands): Operate {
  const { start, registry } = shared;
  const open = {
    requests: (endpoint: Endpoint) => requests.openOf(endpoint),
    commands: (endpoint: Endpoint) => commands.openOf(endpoint),
  };
  return makeOperate({ ...start, registry, clock, spread, open });
}

type Parts = ReturnType<typeof build>;

class Acceptor implements RunningAcceptor {
  readonly #parts: Parts;
  readonly #ticker: Ticker;
  readonly listenerMove: ListenerMove;
  #state: AcceptorState = 'starting';

  constructor(parts: Parts) {
    this.#parts = parts;
    const listen = (given: GivenHandles) => this.#listenOn(given);
    this.listenerMove = listenerMoveOf(parts.out, parts, parts.places, listen);
    this.#ticker = new Ticker(parts.start.config.limits.sweepTickMs, () => this.#tick());
  }

  get counters(): Counters {
    return this.#parts.counters;
  }

  get operate(): Operate {
    return this.#parts.operate;
  }

  get isPrepared(): boolean {
    return this.#parts.blockList.isKnown && this.#parts.broker.isUp;
  }

  get unixRoom(): UnixRoom {
    return this.#parts.unixRoom;
  }

  get moves(): Moves {
    return this.#parts.moves;
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
    const { start, blockList } = this.#parts;
    await blockList.known;
    // A successor is given its predecessor's sockets.
    if (start.joins) await this.listenerMove.join(start.joins);
    else if (start.successorOf === undefined) await this.#listenOn(new Map());
  }

  async #listenOn(given: GivenHandles): Promise<void> {
    const { start, places, blockList } = this.#parts;
    // Its predecessor may end before it knows.
    await blockList.known;
    if (this.#isDraining) return;
    await places.listen(start.sockets, given);
    if (this.#isDraining) places.suspend();
    else this.#state = 'serving';
  }

  get #isDraining(): boolean {
    return this.#state === 'draining';
  }

  #tick(): void {
    const { lossPolicy, broker, entrance, endpoints, refusals, requests } = this.#parts;
    this.#parts.identities.tick();
    this.#parts.moves.tick();
    this.#parts.unixRoom.look();
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
    files.count(this.counters);
    identities.endWithdrawn(before);
  }

  notReady(): string | undefined {
    if (this.#isDraining) return 'draining';
    if (!this.#parts.blockList.isKnown) return 'no block list yet';
    if (this.#state !== 'serving') return this.#state;
    if (this.#parts.operate.drain.isOn) return DRAINED;
    if (!this.#parts.broker.isUp) return 'no broker connection';
    // Until the policy has looked, new links would still be refused.
    return this.#parts.lossPolicy.isRefusing ? 'refusing links' : undefined;
  }

  concerns(): Concern[] {
    return this.#parts.files.concerns();
  }

  degraded(): Degraded[] {
    const { start, files } = this.#parts;
    const faults = [...start.own.faults, ...files.faults];
    return degradedOf({ ...this.#parts, faults });
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
    this.operate.traces.flush();
    log.info({ links }, 'drained');
  }

  /** Take no new link and no new message, whichever way it goes. */
  #suspend(): void {
    const { places, admission, entrance, endpoints, commands, moves } = this.#parts;
    moves.suspend();
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
