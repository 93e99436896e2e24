/**
 * Acceptor: one process of the pool, put together. The whole path can be read off `build`.
 * From: child.ts, with a config.  To: a listener, two AMQP connections, and back down in reverse.
 * Bound: a stop waits `drainMs` for what is under way, then says BYE over `drainPaceMs`.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Channel, ChannelModel } from 'amqplib';
import type { Logger } from 'pino';
import { Consumer } from '../broker/consumer.ts';
import { Link } from '../broker/link.ts';
import { Publisher } from '../broker/publisher.ts';
import { declareReplies, declareUplink, names } from '../broker/topology.ts';
import type { Config } from '../config.ts';
import { systemClock } from '../endpoint/clock.ts';
import { Gate } from '../endpoint/gate.ts';
import { Keeper } from '../endpoint/keeper.ts';
import { Listener } from '../endpoint/listener.ts';
import type { StartError } from '../errors.ts';
import { SHARDS } from '../limits.ts';
import { type Counters, makeCounters } from '../observe/metrics.ts';
import { Downlink } from '../route/downlink.ts';
import { Requests } from '../route/requests.ts';
import { Uplink } from '../route/uplink.ts';
import { v1 } from '../wire/v1.ts';
import { linksMaxOf } from './files.ts';

export interface AcceptorStart {
  readonly config: Config;
  /** 1 to the number of acceptors. */
  readonly index: number;
  /** Names this process's reply queue; never used again by another. */
  readonly incarnation: string;
  readonly log: Logger;
  /** This process cannot go on: one sentence for the operator. */
  readonly onFatal: (error: StartError) => void;
}

export interface RunningAcceptor {
  readonly counters: Counters;
  /** Why this acceptor is not ready, or `undefined` when it is. */
  notReady(): string | undefined;
  /** End gracefully. Resolves when every link has ended and the broker's connections are closed. */
  drain(): Promise<void>;
}

type AcceptorState = 'starting' | 'serving' | 'draining';

/** How often a drain looks whether everything under way is done. */
const DRAIN_LOOK_MS = 20;
/** How long a drain waits for the broker to say goodbye. */
const CLOSE_BROKER_MS = 1_000;
/** A drain's BYEs take at least this long per link, so that few links do not wait long. */
const DRAIN_MS_PER_LINK = 1;

class Acceptor implements RunningAcceptor {
  readonly counters = makeCounters();
  readonly #start: AcceptorStart;
  readonly #keeper: Keeper;
  readonly #requests: Requests;
  readonly #publisher: Publisher;
  readonly #consumer: Consumer;
  readonly #links: { readonly publish: Link; readonly consume: Link };
  readonly #listener: Listener;
  readonly #gate: Gate;
  readonly #replyTo: string;
  #ticker: NodeJS.Timeout | undefined;
  #state: AcceptorState = 'starting';

  constructor(start: AcceptorStart, linksMax: number) {
    const { config, incarnation } = start;
    const { limits } = config;
    const counters = this.counters;
    const clock = systemClock;
    const at = names(config.prefix);
    this.#start = start;
    this.#replyTo = at.acceptor(incarnation);

    // Device to broker: listener, keeper with its endpoints, uplink, publisher.
    const keeper = new Keeper({
      codec: v1,
      limits,
      counters,
      clock,
      random: Math.random,
      linksMax,
    });
    const requests = new Requests({ limits, counters, clock });
    const publisher = new Publisher({
      limits,
      counters,
      onRoom: () => keeper.makeRoom(),
      onReturn: (messageId) => downlink.onReturn(messageId),
    });
    const replyTo = this.#replyTo;
    keeper.connect(new Uplink({ publisher, requests, names: at, replyTo, clock }));

    // Broker to device: consumer, downlink, registry, endpoint.
    const downlink = new Downlink({ registry: keeper.registry, requests, counters });
    this.#consumer = new Consumer((delivery) => downlink.onDelivery(delivery));

    this.#keeper = keeper;
    this.#requests = requests;
    this.#publisher = publisher;
    this.#gate = new Gate({
      limits,
      counters,
      clock,
      room: () => keeper.room,
      admit: (socket) => keeper.accept(socket),
      refuse: (socket, reason) => keeper.refuse(socket, reason),
    });
    this.#listener = new Listener(limits, (socket) => this.#gate.arrive(socket));
    this.#links = {
      publish: this.#link('publish', (model) => this.#setUpPublish(model)),
      consume: this.#link('consume', (model) => this.#setUpConsume(model)),
    };
  }

  #link(name: 'publish' | 'consume', setUp: (model: ChannelModel) => Promise<void>): Link {
    const { config, log, onFatal } = this.#start;
    const { counters } = this;
    return new Link({
      name,
      url: config.amqp,
      limits: config.limits,
      log,
      setUp,
      onUp: () => {
        counters.brokerUp[name] = 1;
        counters.brokerConnects += 1;
      },
      onDown: () => {
        counters.brokerUp[name] = 0;
        counters.brokerLosses += 1;
      },
      onBlocked: (isBlocked) => {
        if (name !== 'publish') return;
        counters.brokerBlocked = isBlocked ? 1 : 0;
        this.#publisher.block(isBlocked);
      },
      onFatal,
    });
  }

  /** A channel that dies takes its connection with it, and recovery sets both up again. */
  #watch(channel: Channel, link: Link, onDown: () => void): void {
    channel.on('error', (error: Error) => {
      this.#start.log.warn({ why: error.message }, 'broker channel failed');
    });
    channel.on('close', () => {
      onDown();
      void link.reset();
    });
  }

  async #setUpPublish(model: ChannelModel): Promise<void> {
    const { config } = this.#start;
    const channel = await model.createConfirmChannel();
    this.#watch(channel, this.#links.publish, () => this.#publisher.down());
    await declareUplink(channel, names(config.prefix), config.limits);
    // Here too, so that no REQUEST can be answered before its reply queue exists.
    await declareReplies(channel, this.#replyTo, config.limits);
    this.#publisher.open(channel);
  }

  async #setUpConsume(model: ChannelModel): Promise<void> {
    const { limits } = this.#start.config;
    const channel = await model.createChannel();
    this.#watch(channel, this.#links.consume, () => this.#consumer.down());
    await declareReplies(channel, this.#replyTo, limits);
    await this.#consumer.open(channel, this.#replyTo, limits.prefetch, () => {
      this.#start.log.warn({ queue: this.#replyTo }, 'reply queue was deleted');
      void this.#links.consume.reset();
    });
  }

  async open(): Promise<void> {
    const { config } = this.#start;
    await Promise.all([this.#links.publish.start(), this.#links.consume.start()]);
    this.#ticker = setInterval(() => {
      this.#gate.tick();
      this.#keeper.tick();
      this.#requests.tick();
    }, config.limits.sweepTickMs);
    await this.#listener.listen(config.host, config.port);
    this.#state = 'serving';
  }

  notReady(): string | undefined {
    if (this.#state !== 'serving') return this.#state;
    const { publish, consume } = this.counters.brokerUp;
    if (publish !== 1 || consume !== 1) return 'no broker connection';
    return undefined;
  }

  async drain(): Promise<void> {
    if (this.#state === 'draining') return;
    this.#state = 'draining';
    const { log, config } = this.#start;
    const links = this.#keeper.registry.size;
    this.#listener.suspend();
    this.#gate.close();
    this.#keeper.suspend();
    log.info({ links, ...this.#underWay() }, 'drain: waiting for what is under way');
    await this.#settled(config.limits.drainMs);
    log.info({ links: this.#keeper.registry.size, ...this.#underWay() }, 'drain: saying BYE');
    await this.#sayBye();
    await this.#keeper.emptied();
    // A broker that does not answer must not hold the process; its queue expires by itself.
    await Promise.race([this.#closeBroker(), pause(CLOSE_BROKER_MS, undefined, { ref: false })]);
    clearInterval(this.#ticker);
    log.info({ links }, 'drained');
  }

  #underWay(): { requests: number; confirms: number } {
    return { requests: this.#requests.size, confirms: this.#publisher.size };
  }

  async #settled(deadlineMs: number): Promise<void> {
    const end = systemClock.now() + deadlineMs;
    let shard = 0;
    while (systemClock.now() < end && shard < SHARDS) {
      const { requests, confirms } = this.#underWay();
      // With nothing under way no outbox can grow, so a shard that is done stays done.
      if (requests > 0 || confirms > 0 || this.#keeper.hasOutboxBytes(shard)) {
        await pause(DRAIN_LOOK_MS);
      } else {
        shard += 1;
        await pause(0);
      }
    }
  }

  /** One shard at a time, over `drainPaceMs`: a whole fleet must not come back at once. */
  async #sayBye(): Promise<void> {
    const { drainPaceMs, drainRetryMs } = this.#start.config.limits;
    const paceMs = Math.min(drainPaceMs, this.#keeper.registry.size * DRAIN_MS_PER_LINK);
    const begin = systemClock.now();
    for (let shard = 0; shard < SHARDS; shard += 1) {
      this.#keeper.closeShard(shard, 'draining', drainRetryMs);
      const early = begin + (paceMs * (shard + 1)) / SHARDS - systemClock.now();
      if (early > 1) await pause(early);
    }
    // Links accepted while the BYEs were said: their shard may have been past.
    for (let shard = 0; shard < SHARDS; shard += 1) {
      this.#keeper.closeShard(shard, 'draining', drainRetryMs);
    }
  }

  async #closeBroker(): Promise<void> {
    this.#publisher.close();
    await this.#consumer.close(this.#replyTo);
    await Promise.all([this.#links.publish.close(), this.#links.consume.close()]);
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
