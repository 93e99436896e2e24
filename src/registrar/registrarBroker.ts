/**
 * RegistrarBroker: the registrar's AMQP connection, and its claim on the prefix.
 * From: registrar.ts.  To: publishers (events and wills out), queries (questions in), and the
 * consumer of commands. Answers to both have connections of their own: answers.ts.
 * Bound: only the holder of the claim publishes. If another registrar has the same prefix, it waits
 * `presenceClaimMs`: it may be our own old connection that the broker still keeps. Then it ends.
 */
import type { Logger } from 'pino';
import { EXIT, StartError } from '../base/errors.ts';
import type { Limits } from '../base/limits.ts';
import type { QueueType } from '../base/options.ts';
import type { AmqpChannel, AmqpMessage, AmqpModel } from '../broker/amqp.ts';
import { BrokerConnection } from '../broker/connection.ts';
import type { Publisher } from '../broker/publisher.ts';
import {
  declareApart,
  declareClaim,
  declareCommands,
  declarePresence,
  declareUplink,
  type Names,
} from '../broker/topology.ts';
import type { CommandConsumer } from './command/commandConsumer.ts';
import type { Queries } from './presence/queries.ts';

export interface RegistrarBrokerOptions {
  /** In the order in which they are tried. */
  readonly urls: readonly string[];
  readonly names: Names;
  readonly queueType: QueueType;
  readonly limits: Limits;
  readonly log: Logger;
  /** Each on a channel of its own. */
  readonly publishers: readonly Publisher[];
  readonly queries: Queries;
  readonly consumer: Pick<CommandConsumer, 'open'>;
  readonly onFatal: (error: StartError) => void;
}

/** RabbitMQ's error text when a queue is exclusive to another connection. */
const IN_USE = /RESOURCE_LOCKED/;

export class RegistrarBroker {
  readonly #options: RegistrarBrokerOptions;
  readonly #connection: BrokerConnection;
  /** Since when another registrar holds the claim, in ms of a monotonic clock. */
  #refusedSince: number | undefined;
  #isUp = false;
  #hasClaimed = false;

  constructor(options: RegistrarBrokerOptions) {
    this.#options = options;
    const { urls, limits, log, publishers, onFatal } = options;
    this.#connection = new BrokerConnection({
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
        for (const publisher of publishers) publisher.block(isBlocked);
      },
      onFatal,
    });
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** It has the claim, or had it since this process began, and has tried to open the rest. */
  get hasClaimed(): boolean {
    return this.#hasClaimed;
  }

  /** Why nothing is published, when the reason is another registrar. */
  get refused(): string | undefined {
    if (this.#refusedSince === undefined) return undefined;
    return `another node uses this prefix: it holds the queue ${this.#options.names.claim}`;
  }

  start(): void {
    this.#connection.start();
  }

  async #declare(model: AmqpModel): Promise<void> {
    const { names, limits, queueType, log } = this.#options;
    const isWhole = await declareApart(model, (channel) =>
      declarePresence(channel, names, limits, queueType),
    );
    if (!isWhole) log.warn({ queue: names.presenceQuery }, 'queue is down with its cluster node');
    // Wills go where devices' EVENTs do, and may be the first of them.
    const isRouted = await declareApart(model, (channel) =>
      declareUplink(channel, names, limits, queueType),
    );
    if (!isRouted) log.warn({ queue: names.unrouted }, 'queue is down with its cluster node');
    const isThere = await declareApart(model, (channel) =>
      declareCommands(channel, names, limits, queueType),
    );
    if (!isThere) log.warn({ queue: names.commands }, 'queue is down with its cluster node');
  }

  /** The claim first: of two registrars with one prefix only one may publish. */
  async #open(model: AmqpModel): Promise<void> {
    await this.#claim(model);
    try {
      await this.#openAll(model);
    } finally {
      // Said together with `isUp`, or with the reason why it is not: a node that reports in between
      // would be ready, and without a broker connection. What cannot be opened holds up no links.
      this.#hasClaimed = true;
    }
  }

  async #openAll(model: AmqpModel): Promise<void> {
    const { queries, names, publishers, log } = this.#options;
    const questions = await model.createChannel();
    this.#watch(questions);
    await queries.open(questions, names.presenceQuery, () => {
      log.warn({ queue: names.presenceQuery }, 'query queue was deleted');
      this.#connection.reset();
    });
    for (const publisher of publishers) {
      const channel = await model.createConfirmChannel();
      this.#watch(channel, (isForCause) => publisher.down(isForCause));
      publisher.open(channel);
    }
    await this.#openCommands(model);
  }

  /** Held by this connection until its end. Messages that others publish to it are discarded. */
  async #claim(model: AmqpModel): Promise<void> {
    const { names, log } = this.#options;
    const channel = await model.createChannel();
    this.#watch(channel);
    try {
      await declareClaim(channel, names);
    } catch (error) {
      if (!IN_USE.test(String((error as Error).message))) throw error;
      this.#refuse();
    }
    const onMessage = (message: AmqpMessage | null) => {
      if (message !== null) return;
      log.warn({ queue: names.claim }, 'claim queue was deleted');
      this.#connection.reset();
    };
    await channel.consume(names.claim, onMessage, { noAck: true });
    this.#refusedSince = undefined;
  }

  async #openCommands(model: AmqpModel): Promise<void> {
    const { consumer, names, log } = this.#options;
    const channel = await model.createChannel();
    this.#watch(channel);
    await consumer.open(channel, names.commands, () => {
      log.warn({ queue: names.commands }, 'command queue was deleted');
      this.#connection.reset();
    });
  }

  #refuse(): never {
    const { limits, names, onFatal } = this.#options;
    const now = performance.now();
    this.#refusedSince ??= now;
    const sentence = `another node uses this prefix and holds the queue ${names.claim}: a prefix is for one node at a time; choose another --prefix`;
    if (now - this.#refusedSince >= limits.presenceClaimMs) {
      onFatal(new StartError(EXIT.config, sentence));
    }
    throw new Error(sentence);
  }

  /** A failed channel closes its connection too, so there is only one way to set both up again. */
  #watch(channel: AmqpChannel, onDown: (isForCause: boolean) => void = () => {}): void {
    let isForCause = false;
    channel.on('close', () => onDown(isForCause || this.#connection.isClosedForCause));
    channel.on('error', (error: Error) => {
      isForCause = true;
      const why = error.message;
      if (!IN_USE.test(why)) this.#options.log.warn({ link: 'presence', why }, 'channel failed');
      this.#connection.reset();
    });
  }

  async close(): Promise<void> {
    for (const publisher of this.#options.publishers) publisher.close();
    await this.#connection.close();
  }
}
