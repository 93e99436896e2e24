/**
 * Backend: an AMQP responder with chosen behaviour, so that a run needs nobody's own backend.
 * From: `<prefix>.requests`, through a queue of its own.  To: each request's reply queue, by the
 * AMQP idiom: default exchange, routing key = reply_to, the same correlation_id.
 * Bound: prefetch messages at once; what is delayed or shuffled waits inside that bound.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import amqp, { type Channel, type ChannelModel, type ConsumeMessage } from 'amqplib';
import { STATUS } from '../../src/base/errors.ts';
import { names } from '../../src/broker/topology.ts';
import { Random } from '../plan/random.ts';
import { wordsOf } from '../plan/units.ts';

export interface BackendPlan {
  readonly url: string;
  readonly prefix: string;
  readonly queue: string;
  /** Topic pattern behind the device id; `#` for all. */
  readonly topics: string;
  readonly prefetch: number;
  readonly delayMs: { readonly min: number; readonly max: number };
  /** Replies are held back and sent in random order, this many at a time; 0: in order. */
  readonly shuffle: number;
  /** Share of requests answered with `errorStatus`. */
  readonly errorShare: number;
  readonly errorStatus: number;
  /** Share of requests never answered. */
  readonly silentShare: number;
  readonly seed: number;
}

export interface BackendCounts {
  requests: number;
  replies: number;
  errors: number;
  silent: number;
}

/** The oldest held-back reply goes out after this, however few there are. */
const SHUFFLE_MS = 20;
const RETRY_MS = 500;

export class Backend {
  readonly counts: BackendCounts = { requests: 0, replies: 0, errors: 0, silent: 0 };
  readonly #plan: BackendPlan;
  readonly #random: Random;
  #connection: ChannelModel | undefined;
  #held: (() => void)[] = [];
  #holdTimer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(plan: BackendPlan) {
    this.#plan = plan;
    this.#random = new Random(plan.seed, 0xbac);
  }

  /**
   * Answer until `stop`, reconnecting when the broker goes away. Calls `onReady` each time that
   * requests begin to flow, `onWait` with a sentence while something is missing.
   */
  async run(onReady: () => void, onWait: (why: string) => void): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.#serve(onReady, onWait);
      } catch (error) {
        if (this.#isStopped) return;
        onWait(wordsOf(error));
        await sleep(RETRY_MS);
      }
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#holdTimer);
    await this.#connection?.close().catch(() => {});
  }

  /** One connection's life. Rejects when it ends. */
  async #serve(onReady: () => void, onWait: (why: string) => void): Promise<void> {
    const { url, prefix, queue, topics, prefetch } = this.#plan;
    const connection = await amqp.connect(url, { noDelay: true });
    this.#connection = connection;
    const ended = new Promise<never>((_, reject) => {
      connection.on('error', reject);
      connection.on('close', () => reject(new Error('the connection to the broker ended')));
    });
    // Whoever awaits `ended` sees it; until then a rejection must not end the process.
    ended.catch(() => {});
    const exchange = names(prefix).requests;
    const channel = await this.#channelWith(connection, exchange, onWait);
    channel.on('error', () => {});
    await channel.assertQueue(queue, { durable: false, autoDelete: true });
    await channel.bindQueue(queue, exchange, topics === '#' ? '#' : `*.${topics}`);
    await channel.prefetch(prefetch);
    await channel.consume(queue, (message) => {
      if (message !== null) this.#onRequest(channel, message);
    });
    onReady();
    await ended;
  }

  /** A channel, once the server has declared its exchange: a backend may not do that itself. */
  async #channelWith(
    connection: ChannelModel,
    exchange: string,
    onWait: (why: string) => void,
  ): Promise<Channel> {
    for (;;) {
      const channel = await connection.createChannel();
      channel.on('error', () => {});
      try {
        await channel.checkExchange(exchange);
        return channel;
      } catch {
        onWait(`waiting for the exchange ${exchange}`);
        await sleep(RETRY_MS);
      }
    }
  }

  #onRequest(channel: Channel, message: ConsumeMessage): void {
    const { delayMs, silentShare, errorShare, errorStatus, shuffle } = this.#plan;
    this.counts.requests += 1;
    const isSilent = silentShare > 0 && this.#random.next() < silentShare;
    const isError = errorShare > 0 && this.#random.next() < errorShare;
    const answer = (): void => {
      if (isSilent) {
        this.counts.silent += 1;
      } else {
        this.counts[isError ? 'errors' : 'replies'] += 1;
        reply(channel, message, isError ? errorStatus : STATUS.ok);
      }
      safely(() => channel.ack(message));
    };
    if (delayMs.max > 0) setTimeout(answer, this.#random.between(delayMs.min, delayMs.max));
    else if (shuffle > 1) this.#hold(answer);
    else answer();
  }

  /** Keep answers back and let them go in random order. */
  #hold(answer: () => void): void {
    this.#held.push(answer);
    if (this.#held.length >= this.#plan.shuffle) this.#release();
    else this.#holdTimer ??= setTimeout(() => this.#release(), SHUFFLE_MS);
  }

  #release(): void {
    clearTimeout(this.#holdTimer);
    this.#holdTimer = undefined;
    const held = this.#held;
    this.#held = [];
    for (let left = held.length; left > 0; left -= 1) {
      const at = this.#random.below(left);
      held[at]?.();
      held[at] = held[left - 1] as () => void;
    }
  }
}

/** The channel may have died since the delivery: then the broker delivers again. */
function safely(act: () => void): void {
  try {
    act();
  } catch {
    // IllegalOperationError: the channel is closed.
  }
}

function reply(channel: Channel, { properties, content }: ConsumeMessage, status: number): void {
  const { replyTo, correlationId } = properties;
  if (typeof replyTo !== 'string') return;
  const headers = status === STATUS.ok ? {} : { headers: { status } };
  safely(() => channel.sendToQueue(replyTo, content, { correlationId, ...headers }));
}
