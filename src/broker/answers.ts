/**
 * Answers: the registrar's connections for what goes to queues that backends name.
 * From: outcomes of commands, answers to presence queries.  To: replyQueues.ts, one per connection.
 * Bound: what such a name makes the broker do costs these connections only: neither presence nor
 * commands that come in pass them. Direct reply-to has one of its own, since the broker closes the
 * whole connection for a name of that kind which it cannot read, such as another broker's.
 */
import type { ChannelModel } from 'amqplib';
import type { Logger } from 'pino';
import type { StartError } from '../errors.ts';
import type { Limits } from '../limits.ts';
import { Link } from './link.ts';
import { makePublisherCounters, Publisher } from './publisher.ts';
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

interface Way {
  readonly link: Link;
  readonly publisher: Publisher;
  readonly queues: ReplyQueues;
  /** Since when it has no connection, in ms of a monotonic clock; undefined: it has one. */
  downSince: number | undefined;
}

export class Answers {
  readonly #queues: Way;
  readonly #direct: Way;

  constructor(options: AnswersOptions) {
    this.#queues = makeWay(options, 'answers');
    this.#direct = makeWay(options, 'direct answers');
  }

  get #ways(): readonly Way[] {
    return [this.#queues, this.#direct];
  }

  #wayTo(queue: string): Way {
    return queue.startsWith(DIRECT) ? this.#direct : this.#queues;
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
    for (const { link } of this.#ways) link.start();
  }

  /** No more for now; `onRoom` says when there is room. */
  isFull(): boolean {
    return this.#ways.some(({ queues }) => queues.isFull());
  }

  /** Take over `answer`. Callers ask `isFull` first. */
  publish(answer: Answer): void {
    this.#wayTo(answer.queue).queues.publish(answer);
  }

  async close(): Promise<void> {
    for (const { publisher } of this.#ways) publisher.close();
    await Promise.all(this.#ways.map(({ link }) => link.close()));
  }
}

function makeWay({ urls, limits, log, onRoom, onFatal }: AnswersOptions, name: string): Way {
  const publisher: Publisher = new Publisher({
    limits,
    counters: makePublisherCounters(),
    underWayMin: UNDER_WAY_MIN,
    onRoom: () => queues.makeRoom(),
    onReturn: () => {},
  });
  const queues: ReplyQueues = new ReplyQueues({ publisher, limits, onRoom });
  const link: Link = new Link({
    name,
    urls,
    limits,
    log,
    // Others declare what is declared.
    declare: async () => {},
    open: (model) => openWay(model, link, publisher, log),
    onUp: () => {
      way.downSince = undefined;
    },
    onDown: () => {
      way.downSince = performance.now();
    },
    onBlocked: (isBlocked) => publisher.block(isBlocked),
    onFatal,
  });
  const way: Way = { link, publisher, queues, downSince: performance.now() };
  return way;
}

async function openWay(
  model: ChannelModel,
  link: Link,
  publisher: Publisher,
  log: Logger,
): Promise<void> {
  const channel = await model.createConfirmChannel();
  let isForCause = false;
  channel.on('error', (error: Error) => {
    isForCause = true;
    log.warn({ why: error.message }, 'channel of answers failed');
    link.reset();
  });
  channel.on('close', () => publisher.down(isForCause || link.isClosedForCause));
  publisher.open(channel);
}
