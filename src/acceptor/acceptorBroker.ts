/**
 * AcceptorBroker: the two AMQP connections of one acceptor, and what is declared and opened on
 * each.
 * From: acceptor.ts.  To: a publisher and a consumer, which outlive the loss of any connection.
 * Bound: one reply queue is in use at a time. One that is down with its cluster node is replaced
 * by a new one; it expires at the broker after `replyQueueExpiresMs`.
 */
import type { Logger } from 'pino';
import type { StartError } from '../base/errors.ts';
import type { Limits } from '../base/limits.ts';
import type { Counters } from '../base/metrics.ts';
import type { QueueType } from '../base/options.ts';
import type { AmqpChannel, AmqpModel } from '../broker/amqp.ts';
import { BrokerConnection } from '../broker/connection.ts';
import type { Consumer } from '../broker/consumer.ts';
import { ProvenChannel } from '../broker/provenChannel.ts';
import type { Publisher } from '../broker/publisher.ts';
import { declareApart, declareReplies, declareUplink, type Names } from '../broker/topology.ts';

export interface AcceptorBrokerOptions {
  /** In the order in which they are tried. */
  readonly urls: readonly string[];
  readonly names: Names;
  readonly queueType: QueueType;
  /** Names this process's reply queue; never used again by another. */
  readonly incarnation: string;
  readonly limits: Limits;
  readonly counters: Counters;
  readonly log: Logger;
  /** Each has channels of its own on the same connection. */
  readonly publishers: Readonly<Record<'event' | 'request', Publisher>>;
  readonly consumer: Consumer;
  readonly onFatal: (error: StartError) => void;
}

type ConnectionName = 'publish' | 'consume';

export class AcceptorBroker {
  readonly #options: AcceptorBrokerOptions;
  readonly #connections: Readonly<Record<ConnectionName, BrokerConnection>>;
  /** What REQUESTs are published on. */
  #requests: ProvenChannel | undefined;
  #replyTo: string;
  /** The queue that is consumed now, if any is. */
  #consumed: string | undefined;
  /** Reply queues replaced so far. */
  #lostQueues = 0;

  constructor(options: AcceptorBrokerOptions) {
    this.#options = options;
    this.#replyTo = options.names.acceptor(options.incarnation);
    this.#connections = {
      publish: this.#connection('publish'),
      consume: this.#connection('consume'),
    };
  }

  /** The queue that replies to this acceptor go to, as of now. */
  get replyTo(): string {
    return this.#replyTo;
  }

  /** Both connections are up. */
  get isUp(): boolean {
    const { publish, consume } = this.#options.counters.brokerUp;
    return publish === 1 && consume === 1;
  }

  /** Messages are taken, so what is unconfirmed may become confirmed. */
  get canPublish(): boolean {
    return this.#options.counters.brokerUp.publish === 1;
  }

  /** A REQUEST has come to nothing. */
  doubt(): void {
    this.#requests?.doubt();
  }

  start(): void {
    this.#connections.publish.start();
    this.#connections.consume.start();
  }

  #connection(name: ConnectionName): BrokerConnection {
    const { urls, limits, counters, log, publishers, onFatal } = this.#options;
    const opens = {
      publish: (model: AmqpModel) => this.#openPublish(model),
      consume: (model: AmqpModel) => this.#openConsume(model),
    };
    return new BrokerConnection({
      name,
      urls,
      limits,
      log,
      declare: (model) => this.#declare(model),
      open: opens[name],
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
        for (const publisher of Object.values(publishers)) publisher.block(isBlocked);
      },
      onFatal,
    });
  }

  /** Both connections declare it all, so that no REQUEST goes out before its reply queue exists. */
  async #declare(model: AmqpModel): Promise<void> {
    const { names, limits, queueType, log } = this.#options;
    const isWhole = await declareApart(model, (channel) =>
      declareUplink(channel, names, limits, queueType),
    );
    if (!isWhole) log.warn({ queue: names.unrouted }, 'queue is down with its cluster node');
    const queue = this.#replyTo;
    if (await this.#declareReplies(model, queue)) return;
    this.#giveUp(queue);
    if (await this.#declareReplies(model, this.#replyTo)) return;
    throw new Error(`the reply queue ${this.#replyTo} cannot be declared`);
  }

  #declareReplies(model: AmqpModel, queue: string): Promise<boolean> {
    const { limits, queueType } = this.#options;
    return declareApart(model, (channel) => declareReplies(channel, queue, limits, queueType));
  }

  /** A classic queue is gone for as long as its cluster node is: replies need another one now. */
  #giveUp(queue: string): void {
    // The other connection may have seen it first.
    if (queue !== this.#replyTo) return;
    const { names, incarnation, log } = this.#options;
    this.#lostQueues += 1;
    this.#replyTo = `${names.acceptor(incarnation)}.${this.#lostQueues}`;
    log.warn({ queue, next: this.#replyTo }, 'reply queue is down with its cluster node');
    if (this.#consumed !== undefined) this.#connections.consume.reset();
  }

  async #openPublish(model: AmqpModel): Promise<void> {
    const { publishers, limits } = this.#options;
    const { event, request } = publishers;
    const events = await model.createConfirmChannel();
    this.#watch(events, 'publish', (isForCause) => event.down(isForCause));
    event.open(events);
    const [plain, confirming] = [await model.createChannel(), await model.createConfirmChannel()];
    for (const channel of [plain, confirming]) {
      this.#watch(channel, 'publish', (isForCause) => request.down(isForCause));
    }
    this.#requests = new ProvenChannel({ plain, confirming, limits });
    request.open(this.#requests);
  }

  async #openConsume(model: AmqpModel): Promise<void> {
    const { consumer, limits, log } = this.#options;
    const queue = this.#replyTo;
    const channel = await model.createChannel();
    this.#watch(channel, 'consume', () => {
      this.#consumed = undefined;
      consumer.down();
    });
    this.#consumed = queue;
    await consumer.open(channel, queue, limits.prefetch, () => {
      log.warn({ queue }, 'reply queue was deleted');
      this.#connections.consume.reset();
    });
  }

  /** A channel that fails takes its connection with it, and one way sets both up again. */
  #watch(channel: AmqpChannel, name: ConnectionName, onDown: (isForCause: boolean) => void): void {
    let isForCause = false;
    channel.on('error', (error: Error) => {
      isForCause = true;
      this.#options.log.warn({ link: name, why: error.message }, 'broker channel failed');
      this.#connections[name].reset();
    });
    channel.on('close', () => onDown(isForCause || this.#connections[name].isClosedForCause));
  }

  /** Delete the reply queue and close both connections. */
  async close(): Promise<void> {
    const { publishers, consumer } = this.#options;
    for (const publisher of Object.values(publishers)) publisher.close();
    await consumer.close(this.#replyTo);
    await Promise.all([this.#connections.publish.close(), this.#connections.consume.close()]);
  }
}
