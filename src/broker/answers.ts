/**
 * Answers: the registrar's connections for messages to queues that backends name.
 * From: outcomes of commands, answers to presence queries.  To: replyQueues.ts, one per connection.
 * Bound: an error that such a name causes closes these connections only: neither presence nor
 * incoming commands use them. Direct reply-to has one of its own, since the broker closes the
 * whole connection for such a name that it cannot read, for example one of another broker.
 */
import type { Logger } from 'pino';
import type { StartError } from '../base/errors.ts';
import type { Limits } from '../base/limits.ts';
import type { AmqpModel } from './amqp.ts';
import { BrokerConnection } from './connection.ts';
import { Publisher } from './publisher.ts';
import { type Answer, ReplyQueues } from './replyQueues.ts';

/** https://www.rabbitmq.com/docs/direct-reply-to */
const DIRECT = 'amq.rabbitmq.reply-to';

/** Answers under way at least, before the broker's pace counts: some queues may be slow. */
const UNDER_WAY_MIN = 1_024;

export interface AnswersOptions {
  /** In the order in which they are tried. */
  readonly urls: readonly string[];
  readonly limits: Limits;
  readonly log: Logger;
  /** More may be published. */
  readonly onRoom: () => void;
  readonly onFatal: (error: StartError) => void;
}

/** One connection, and the answers sent on it. */
class Way {
  readonly publisher: Publisher;
  readonly queues: ReplyQueues;
  readonly connection: BrokerConnection;
  readonly #log: Logger;
  /** Since when it has no connection, in ms of a monotonic clock; undefined: it has one. */
  downSince: number | undefined = performance.now();

  constructor({ urls, limits, log, onRoom, onFatal }: AnswersOptions, name: string) {
    this.#log = log;
    this.publisher = new Publisher({
      limits,
      underWayMin: UNDER_WAY_MIN,
      onRoom: () => this.queues.makeRoom(),
      onReturn: () => {},
    });
    this.queues = new ReplyQueues({ publisher: this.publisher, limits, onRoom });
    this.connection = new BrokerConnection({
      name,
      urls,
      limits,
      log,
      // Other connections declare the topology.
      declare: async () => {},
      open: (model) => this.#open(model),
      onUp: () => {
        this.downSince = undefined;
      },
      onDown: () => {
        this.downSince = performance.now();
      },
      onBlocked: (isBlocked) => this.publisher.block(isBlocked),
      onFatal,
    });
  }

  async #open(model: AmqpModel): Promise<void> {
    const channel = await model.createConfirmChannel();
    let isForCause = false;
    channel.on('error', (error: Error) => {
      isForCause = true;
      this.#log.warn({ why: error.message }, 'channel for outcomes and answers failed');
      this.connection.reset();
    });
    channel.on('close', () => this.publisher.down(isForCause || this.connection.isClosedForCause));
    this.publisher.open(channel);
  }
}

export class Answers {
  readonly #queues: Way;
  readonly #direct: Way;

  constructor(options: AnswersOptions) {
    this.#queues = new Way(options, 'answers');
    this.#direct = new Way(options, 'direct answers');
  }

  get #ways(): readonly Way[] {
    return [this.#queues, this.#direct];
  }

  /** Answers not yet confirmed. */
  get size(): number {
    return this.#queues.queues.size + this.#direct.queues.size;
  }

  /** For how long one of them has had no connection, in ms. */
  get downMs(): number {
    const now = performance.now();
    return Math.max(...this.#ways.map(({ downSince = now }) => now - downSince));
  }

  /** Since when the broker owes an answer to what was sent, in ms; 0: it owes none. */
  get owedMs(): number {
    return Math.max(...this.#ways.map(({ publisher }) => publisher.owedMs));
  }

  start(): void {
    for (const { connection } of this.#ways) connection.start();
  }

  /** No more for now; `onRoom` says when there is room. Nothing waits for direct reply-to. */
  isFull(): boolean {
    return this.#queues.queues.isFull();
  }

  /** Take over `answer`. Callers ask `isFull` first. */
  publish(answer: Answer): void {
    const isDirect = answer.queue.startsWith(DIRECT);
    const { queues } = isDirect ? this.#direct : this.#queues;
    if (isDirect && queues.isFull()) answer.onDrop('crowded');
    else queues.publish(answer);
  }

  async close(): Promise<void> {
    for (const { publisher } of this.#ways) publisher.close();
    await Promise.all(this.#ways.map(({ connection }) => connection.close()));
  }
}
