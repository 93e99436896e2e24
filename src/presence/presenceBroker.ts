/**
 * PresenceBroker: the registrar's AMQP connection, and its claim on the prefix.
 * From: registrar process.  To: publisher (events out), queries (questions in), and the desk
 * (commands in, outcomes out).
 * Bound: only who consumes the query queue, alone, publishes. Another registrar with the same
 * prefix is waited out for `presenceClaimMs`, as it may be our own that only the broker still sees;
 * then this node ends.
 */
import type { Channel, ChannelModel } from 'amqplib';
import type { Logger } from 'pino';
import { Link } from '../broker/link.ts';
import type { Publisher } from '../broker/publisher.ts';
import {
  declareApart,
  declareCommands,
  declarePresence,
  type Names,
  type QueueType,
} from '../broker/topology.ts';
import type { Desk } from '../command/desk.ts';
import { EXIT, StartError } from '../errors.ts';
import type { Limits } from '../limits.ts';
import type { Queries } from './queries.ts';

export interface PresenceBrokerOptions {
  /** In the order in which they are tried. */
  readonly urls: readonly string[];
  readonly names: Names;
  readonly queueType: QueueType;
  readonly limits: Limits;
  readonly log: Logger;
  readonly publisher: Publisher;
  readonly queries: Queries;
  readonly desk: Pick<Desk, 'open' | 'block' | 'close'>;
  readonly onFatal: (error: StartError) => void;
}

/** RabbitMQ's words when a queue has an exclusive consumer. */
const IN_USE = /in exclusive use/;

export class PresenceBroker {
  readonly #options: PresenceBrokerOptions;
  readonly #link: Link;
  /** Since when another registrar is in our place, in ms of a monotonic clock. */
  #refusedSince: number | undefined;
  #isUp = false;

  constructor(options: PresenceBrokerOptions) {
    this.#options = options;
    const { urls, limits, log, publisher, desk, onFatal } = options;
    this.#link = new Link({
      name: 'presence',
      urls,
      limits,
      log,
      declare: (model) => this.#declare(model),
      open: (model) => this.#open(model),
      onUp: () => {
        this.#isUp = true;
      },
      onDown: () => {
        this.#isUp = false;
      },
      onBlocked: (isBlocked) => {
        publisher.block(isBlocked);
        desk.block(isBlocked);
      },
      onFatal,
    });
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Why nothing is published, when the reason is another registrar. */
  get refused(): string | undefined {
    if (this.#refusedSince === undefined) return undefined;
    return `another registrar answers ${this.#options.names.presenceQuery}`;
  }

  start(): void {
    this.#link.start();
  }

  async #declare(model: ChannelModel): Promise<void> {
    const { names, limits, queueType, log } = this.#options;
    const isWhole = await declareApart(model, (channel) =>
      declarePresence(channel, names, limits, queueType),
    );
    if (!isWhole) log.warn({ queue: names.presenceQuery }, 'queue is down with its cluster node');
    const isThere = await declareApart(model, (channel) =>
      declareCommands(channel, names, limits, queueType),
    );
    if (!isThere) log.warn({ queue: names.commands }, 'queue is down with its cluster node');
  }

  /** The claim first: of two registrars with one prefix only one may publish. */
  async #open(model: ChannelModel): Promise<void> {
    const { queries, names, publisher, log } = this.#options;
    const claim = await model.createChannel();
    this.#watch(claim);
    try {
      await queries.open(claim, names.presenceQuery, () => {
        log.warn({ queue: names.presenceQuery }, 'query queue was deleted');
        this.#link.reset();
      });
    } catch (error) {
      if (!IN_USE.test(String((error as Error).message))) throw error;
      this.#refuse();
    }
    this.#refusedSince = undefined;
    const channel = await model.createConfirmChannel();
    this.#watch(channel);
    channel.on('close', () => publisher.down());
    publisher.open(channel);
    await this.#openCommands(model);
  }

  async #openCommands(model: ChannelModel): Promise<void> {
    const { desk, names, log } = this.#options;
    const channel = await model.createConfirmChannel();
    this.#watch(channel);
    await desk.open(channel, names.commands, () => {
      log.warn({ queue: names.commands }, 'command queue was deleted');
      this.#link.reset();
    });
  }

  #refuse(): never {
    const { limits, names, onFatal } = this.#options;
    const now = performance.now();
    this.#refusedSince ??= now;
    const sentence = `another registrar answers ${names.presenceQuery}: one node at a time can have a prefix; give this one its own`;
    if (now - this.#refusedSince >= limits.presenceClaimMs) {
      onFatal(new StartError(EXIT.config, sentence));
    }
    throw new Error(sentence);
  }

  /** A channel that fails takes its connection with it, and one way sets both up again. */
  #watch(channel: Channel): void {
    channel.on('error', (error: Error) => {
      const why = error.message;
      if (!IN_USE.test(why)) this.#options.log.warn({ link: 'presence', why }, 'channel failed');
      this.#link.reset();
    });
  }

  async close(): Promise<void> {
    this.#options.publisher.close();
    this.#options.desk.close();
    await this.#link.close();
  }
}
