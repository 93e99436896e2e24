/**
 * Backend: takes every EVENT and answers every REQUEST, or does what a broken backend does.
 * From: two durable queues; its parent, by IPC (fork): how to behave.  To: reply queues; a ledger
 * file, written before each ack, so that kill -9 loses nothing that the broker then forgets.
 * Bound: PREFETCH deliveries under way; the queue of REQUESTs is full at REQUESTS_MAX, and then
 * the broker nacks.
 */
import type { Channel, ConsumeMessage } from 'amqplib';
import { v4 as uuid } from 'uuid';
import { Random } from '../../loadgen/plan/random.ts';
import { names } from '../../src/broker/topology.ts';
import { type Entry, LedgerFile, readName } from './ledger.ts';
import { live, safely } from './lives.ts';

/** Ways to treat a REQUEST. All but `answer` are faults. */
export const MANNERS = ['answer', 'nack', 'twice', 'garbage', 'late', 'slow'] as const;
export type Manner = (typeof MANNERS)[number];

export interface BackendStart {
  readonly what: 'start';
  /** Tried in turn, for ever. */
  readonly urls: readonly string[];
  readonly prefix: string;
  readonly seed: number;
  readonly file: string;
  /** Reply so late in the manner `late`. */
  readonly lateMs: number;
  /** Survives the loss of one node of three. */
  readonly isQuorum: boolean;
}

export type ToBackend = BackendStart | { readonly what: 'manner'; readonly manner: Manner };

export const EVENTS_QUEUE = 'chaos.events';
export const REQUESTS_QUEUE = 'chaos.requests';
/** Length of the queue of REQUESTs. */
export const REQUESTS_MAX = 2_000;

/** The topics of the fleet; those of bad neighbours are others. */
const PATTERN = '*.chaos.#';
const PREFETCH = 500;
/** In the manner `slow`, one REQUEST in that time. */
const SLOW_MS = 10;

class Backend {
  manner: Manner = 'answer';
  readonly #start: BackendStart;
  readonly #ledger: LedgerFile;
  readonly #random: Random;
  /** What the manner `slow` has still to treat. */
  #slow: (() => void)[] = [];

  constructor(start: BackendStart) {
    this.#start = start;
    this.#ledger = new LedgerFile(start.file);
    this.#random = new Random(start.seed, process.pid);
    setInterval(() => this.#treatSlow(), SLOW_MS);
  }

  run(): Promise<never> {
    return live({
      urls: this.#start.urls,
      open: (connection) => connection.createChannel(),
      begin: (channel) => this.#begin(channel),
    });
  }

  async #begin(channel: Channel): Promise<void> {
    const at = names(this.#start.prefix);
    await channel.prefetch(PREFETCH);
    const full = { 'x-max-length': REQUESTS_MAX, 'x-overflow': 'reject-publish' };
    await this.#consume(channel, EVENTS_QUEUE, at.events, {}, (message) => {
      this.#onEvent(channel, message);
    });
    await this.#consume(channel, REQUESTS_QUEUE, at.requests, full, (message) => {
      this.#onRequest(channel, message);
    });
  }

  async #consume(
    channel: Channel,
    queue: string,
    exchange: string,
    bounds: Record<string, string | number>,
    handler: (message: ConsumeMessage) => void,
  ): Promise<void> {
    const type = this.#start.isQuorum ? { 'x-queue-type': 'quorum' } : {};
    await channel.assertQueue(queue, { durable: true, arguments: { ...bounds, ...type } });
    await channel.bindQueue(queue, exchange, PATTERN);
    await channel.consume(queue, (message) => {
      if (message === null) void channel.close().catch(() => {});
      else handler(message);
    });
  }

  #note(kind: 'event' | 'request', { properties, content, fields }: ConsumeMessage): void {
    const name = readName(content.toString());
    if (name === undefined) throw new Error(`a strange payload: ${content.toString()}`);
    const { messageId, expiration, headers = {} } = properties;
    const entry: Entry = {
      what: 'got',
      kind,
      ...name,
      at: Date.now(),
      ...(headers.resent === true ? { resent: String(messageId) } : {}),
      ...(fields.redelivered ? { redelivered: true } : {}),
      ...(kind === 'request'
        ? {
            deadline: Number(headers.deadline),
            publishedAt: Number(headers.deadline) - Number(expiration),
            receivedAt: Number(headers.receivedAt),
          }
        : {}),
    };
    this.#ledger.note(entry);
    this.#ledger.flush();
  }

  #onEvent(channel: Channel, message: ConsumeMessage): void {
    if (message.properties.headers?.will === undefined) this.#note('event', message);
    else this.#noteWill(message);
    ack(channel, message);
  }

  #noteWill({ content, properties }: ConsumeMessage): void {
    const { headers = {}, messageId } = properties;
    const named = { of: content.toString(), reason: String(headers.will), id: String(messageId) };
    this.#ledger.note({ what: 'will', ...named, at: Date.now() });
    this.#ledger.flush();
  }

  #onRequest(channel: Channel, message: ConsumeMessage): void {
    this.#note('request', message);
    const treat = TREATMENTS[this.manner];
    treat(channel, message, {
      random: () => this.#random.next(),
      lateMs: this.#start.lateMs,
      later: (act) => this.#slow.push(act),
    });
  }

  /** One at a time while slow; afterwards all that is left at once. */
  #treatSlow(): void {
    const count = this.manner === 'slow' ? 1 : this.#slow.length;
    for (const act of this.#slow.splice(0, count)) act();
  }
}

interface Means {
  readonly random: () => number;
  readonly lateMs: number;
  readonly later: (act: () => void) => void;
}
type Treatment = (channel: Channel, message: ConsumeMessage, means: Means) => void;

const TREATMENTS: Readonly<Record<Manner, Treatment>> = {
  answer: (channel, message) => {
    // As docs/amqp.md asks: after the deadline nobody waits for the answer, so nothing is done.
    if (Number(message.properties.headers?.deadline) >= Date.now()) reply(channel, message);
    ack(channel, message);
  },
  nack: (channel, message, { random }) => {
    const isRequeued = random() < 0.5;
    safely(() => channel.nack(message, false, isRequeued));
  },
  twice: (channel, message) => {
    reply(channel, message);
    reply(channel, message);
    ack(channel, message);
  },
  garbage: (channel, message, { random }) => {
    const { correlationId, replyTo } = message.properties;
    const wrong = [
      { correlationId: 'nonsense' },
      { correlationId: `${uuid()}:1` },
      { correlationId: `${correlationId}000000000000` },
      {},
      { correlationId, headers: { status: 'x' } },
      { correlationId, headers: { status: -1 }, contentEncoding: 'gzip', expiration: '5000' },
    ];
    const options = wrong[Math.floor(random() * wrong.length)] ?? {};
    const bytes = Buffer.from(`garbage ${random()}`);
    safely(() => channel.sendToQueue(String(replyTo), bytes, options));
    ack(channel, message);
  },
  late: (channel, message, { lateMs }) => {
    setTimeout(() => reply(channel, message), lateMs);
    ack(channel, message);
  },
  slow: (channel, message, { later }) => {
    later(() => TREATMENTS.answer(channel, message, NO_MEANS));
  },
};
const NO_MEANS: Means = { random: () => 0, lateMs: 0, later: () => {} };

function reply(channel: Channel, { properties, content }: ConsumeMessage): void {
  const { replyTo, correlationId } = properties;
  safely(() => channel.sendToQueue(String(replyTo), content, { correlationId }));
}

function ack(channel: Channel, message: ConsumeMessage): void {
  safely(() => channel.ack(message));
}

let backend: Backend | undefined;
process.on('message', (message: ToBackend) => {
  if (message.what === 'start') {
    backend = new Backend(message);
    void backend.run();
  } else if (backend) {
    backend.manner = message.manner;
  }
});
process.on('disconnect', () => process.exit(1));
