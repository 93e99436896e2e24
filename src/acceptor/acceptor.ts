/**
 * Acceptor: one process of the pool, put together. The whole path can be read off `build`.
 * From: child.ts, with a config.  To: a listener, two AMQP connections, and back down in reverse.
 * Bound: a stop waits `drainMs` for messages in flight, then sends BYEs over `drainPaceMs`.
 */
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { systemClock } from '../base/clock.ts';
import type { Config } from '../base/config.ts';
import type { StartError } from '../base/errors.ts';
import { type Counters, makeCounters } from '../base/metrics.ts';
import { Ticker } from '../base/ticker.ts';
import { noTrace, type Trace, traceTo } from '../base/trace.ts';
import { tryOrder } from '../broker/connection.ts';
import { Consumer } from '../broker/consumer.ts';
import { Publisher } from '../broker/publisher.ts';
import { names } from '../broker/topology.ts';
import { within } from '../node/drain.ts';
import { linksMaxOf } from '../node/files.ts';
import { registrarSocket } from '../node/ipc.ts';
import type { FromLink } from '../node/messages.ts';
import type { Degraded } from '../node/report.ts';
import { MESSAGE_TYPES } from '../wire/message.ts';
import { v1Protocol } from '../wire/v1Protocol.ts';
import { AcceptorBroker } from './acceptorBroker.ts';
import { BrokerLossPolicy } from './brokerLossPolicy.ts';
import { sayBye, settled } from './drainLinks.ts';
import { Admission } from './endpoint/admission.ts';
import { Endpoints, type PublishedType, type Routes } from './endpoint/endpoints.ts';
import type { BoundSocket } from './endpoint/listener.ts';
import { Listeners } from './endpoint/listeners.ts';
import { watchBusy } from './endpoint/overload.ts';
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
  readonly log: Logger;
  /** This process cannot continue: one sentence for the operator. */
  readonly onFatal: (error: StartError) => void;
}

export interface RunningAcceptor {
  readonly counters: Counters;
  /** Why this acceptor is not ready, or `undefined` when it is. */
  notReady(): string | undefined;
  /** Which of its work makes no progress, and why. */
  degraded(): Degraded[];
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

class Acceptor implements RunningAcceptor {
  readonly counters = makeCounters(MESSAGE_TYPES);
  readonly #start: AcceptorStart;
  readonly #endpoints: Endpoints;
  readonly #refusals: RefusalLog;
  readonly #requests: Requests;
  readonly #publishers: Readonly<Record<'event' | 'request', Publisher>>;
  readonly #broker: AcceptorBroker;
  readonly #listeners: Listeners;
  readonly #admission: Admission;
  readonly #lossPolicy: BrokerLossPolicy;
  readonly #stream: StreamClient;
  readonly #commands: DeviceCommands;
  readonly #ticker: Ticker;
  #state: AcceptorState = 'starting';

  constructor(start: AcceptorStart, linksMax: number) {
    const { config, index, incarnation, log, onFatal } = start;
    const { limits, queueType } = config;
    const counters = this.counters;
    const clock = systemClock;
    const at = names(config.prefix);
    this.#start = start;

    // Device to broker: listener, endpoints, uplink, publisher.
    const { random } = Math;
    const refusals = new RefusalLog({ log, limits, clock });
    const makeProtocol = v1Protocol;
    const links = { makeProtocol, random, linksMax, refusals, busyShare: watchBusy() };
    const endpoints = new Endpoints({ limits, counters, clock, ...links });
    const onReturn = (messageId: string) => downlink.onReturn(messageId);
    const counts = publishCounts(counters);
    const publisherOf = (type: PublishedType) =>
      new Publisher({ limits, counts, onRoom: () => endpoints.makeRoom(type), onReturn });
    const publishers = { event: publisherOf('event'), request: publisherOf('request') };
    const requests = new Requests({ limits, counters, clock, publisher: publishers.request });
    const uplink = new Uplink({
      publishers,
      requests,
      names: at,
      replyTo: () => this.#broker.replyTo,
      isPersistent: config.eventDelivery === 'persistent',
      clock,
    });
    // Registrar to device, and back: stream, commands, registry, endpoint.
    const notify = (message: FromLink) => this.#stream.answer(message);
    const trace = config.traceDir === '' ? noTrace : traceTo(config.traceDir, incarnation);
    const { registry } = endpoints;
    const { wall } = clock;
    this.#commands = new DeviceCommands({ registry, counters, limits, wall, trace, notify });
    this.#stream = this.#streamOf(endpoints, uplink, trace);

    // Broker to device: consumer, downlink, registry, endpoint.
    const downlink = new Downlink({ registry, counters, requests });
    const consumer = new Consumer((delivery) => downlink.onDelivery(delivery));
    const urls = tryOrder(config.amqp, index - 1);
    const toBroker = { urls, names: at, queueType, incarnation, consumer, onFatal };
    const toPublish = { publishers: [publishers.event, publishers.request] };
    this.#broker = new AcceptorBroker({ ...toBroker, ...toPublish, limits, counters, log });

    this.#endpoints = endpoints;
    this.#refusals = refusals;
    this.#requests = requests;
    this.#publishers = publishers;
    this.#lossPolicy = this.#lossPolicyOf(endpoints);
    this.#admission = new Admission({
      limits,
      counters,
      clock,
      room: () => endpoints.room,
      admit: (socket, acceptedUs) => this.#admit(socket, acceptedUs),
      refuse: (socket, reason) => endpoints.refuse(socket, reason),
    });
    const onSocket = (socket: Socket) => this.#admission.arrive(socket);
    this.#listeners = new Listeners(config.listeners, limits, onSocket);
    this.#ticker = new Ticker(limits.sweepTickMs, () => this.#tick());
  }

  /** Every link is reported to the registrar; it sends takeovers back. */
  #streamOf(endpoints: Endpoints, uplink: Uplink, trace: Trace): StreamClient {
    const { config, incarnation, folder } = this.#start;
    const { registry } = endpoints;
    const links = (shard: number) => endpoints.openLinks(shard);
    const changes = new LinkChanges({ links, clock: systemClock, trace });
    const stream = new StreamClient({
      path: registrarSocket(folder),
      incarnation,
      limits: config.limits,
      changes,
      onTakeover: (connection) => registry.find(connection)?.close('taken-over'),
      onCommand: (command) => this.#commands.onCommand(command),
    });
    endpoints.connect(this.#routes(uplink), {
      onUp: (endpoint) => {
        changes.onUp(endpoint);
        stream.wake();
      },
      onDown: (endpoint, reason) => {
        changes.onDown(endpoint, reason);
        stream.wake();
      },
    });
    return stream;
  }

  #routes(uplink: Uplink): Routes {
    const commands = this.#commands;
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

  #lossPolicyOf(endpoints: Endpoints): BrokerLossPolicy {
    const { config, log } = this.#start;
    const { limits, onBrokerLoss: policy } = config;
    return new BrokerLossPolicy({
      policy,
      limits,
      log,
      closeShard: (shard) => endpoints.closeShard(shard, 'broker-lost', limits.brokerLossRetryMs),
    });
  }

  /** It was admitted; a link to be refused here has waited too, so refusals are paced as well. */
  #admit(socket: Socket, acceptedUs: number): void {
    if (!this.#lossPolicy.isRefusing) this.#endpoints.accept(socket, acceptedUs);
    else this.#endpoints.refuse(socket, 'broker-lost', this.#start.config.limits.brokerLossRetryMs);
  }

  async open(): Promise<void> {
    this.#broker.start();
    this.#stream.start();
    this.#ticker.start();
    await this.#listeners.listen(this.#start.sockets);
    this.#state = 'serving';
  }

  #tick(): void {
    // A drain sends its own BYEs.
    if (this.#state === 'serving') this.#lossPolicy.tick(this.#broker.isUp, systemClock.now());
    this.#endpoints.tick();
    this.#refusals.tick(systemClock.now());
    this.#requests.tick();
  }

  notReady(): string | undefined {
    if (this.#state !== 'serving') return this.#state;
    return this.#broker.isUp ? undefined : 'no broker connection';
  }

  degraded(): Degraded[] {
    if (!this.#broker.canPublish) return [];
    const { event, request } = this.#publishers;
    const reason = this.counters.brokerBlocked ? 'the broker blocks publishes' : 'no confirms';
    const parts = { events: event, requests: request };
    return (['events', 'requests'] as const).flatMap((part) =>
      parts[part].owedMs > OWED_MS ? { part, reason } : [],
    );
  }

  async drain(): Promise<void> {
    if (this.#state === 'draining') return;
    this.#state = 'draining';
    const { log, config } = this.#start;
    const links = this.#endpoints.registry.size;
    this.#listeners.suspend();
    this.#admission.close();
    this.#endpoints.suspend();
    this.#commands.suspend();
    log.info({ links, ...this.#underWay() }, 'drain: waiting for messages in flight');
    await settled(this.#endpoints, () => this.#isUnderWay(), config.limits.drainMs);
    log.info({ links: this.#endpoints.registry.size, ...this.#underWay() }, 'drain: sending BYE');
    await sayBye(this.#endpoints, config.limits);
    await this.#endpoints.emptied();
    await this.#stream.close(CLOSE_STREAM_MS);
    // A broker that does not answer must not hold the process; its queue expires by itself.
    await within(CLOSE_BROKER_MS, this.#broker.close());
    this.#ticker.stop();
    this.#refusals.tick(Number.POSITIVE_INFINITY);
    log.info({ links }, 'drained');
  }

  #underWay(): { requests: number; confirms: number } {
    const { event, request } = this.#publishers;
    return { requests: this.#requests.size, confirms: event.size + request.size };
  }

  /** Confirms come only from a broker that is there; REQUESTs end without it, at their deadline. */
  #isUnderWay(): boolean {
    const { requests, confirms } = this.#underWay();
    return requests > 0 || (confirms > 0 && this.#broker.canPublish);
  }
}

/**
 * Start one acceptor in this process; resolves when it listens. The broker's connections come up
 * beside it, and `notReady` says so until then. Rejects with the listener's error.
 */
export async function startAcceptor(start: AcceptorStart): Promise<RunningAcceptor> {
  const acceptor = new Acceptor(start, linksMaxOf(start.config, start.index));
  await acceptor.open();
  return acceptor;
}
