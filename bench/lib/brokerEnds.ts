/**
 * BrokerEnds: a publisher and a consumer at one queue, with bare amqplib, as `Choices` say.
 * From: a study that compares choices.  To: a broker, over one connection or two.
 * The publisher writes its socket once a turn of the loop, as Owsla does; the consumer is plain
 * amqplib, as backends are. Bodies begin with the time at which they were published.
 * Bound: PREFETCH deliveries under way; what does not come in time rejects.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type ChannelModel, type ConsumeMessage, connect, type Options } from 'amqplib';
import type { AmqpConfirmChannel, PublishOptions } from '../../src/broker/amqp.ts';
import { connectionOf, writeDirectly } from '../../src/broker/directWriter.ts';
import { waitFor } from '../../test/helpers/waitFor.ts';
import { spread } from './stats.ts';

export interface Choices {
  /** Of each message by itself, of all of a turn, of every 16th and all before it; or none. */
  readonly acks: 'each' | 'turn' | 'sixteenth' | 'none';
  readonly hasConfirms: boolean;
  readonly connections: 1 | 2;
  readonly bytes: number;
  /** Of the queue to a topic exchange, one of which fits. 0: by the default exchange. */
  readonly bindings: number;
  readonly publish: PublishOptions;
  readonly queue: Options.AssertQueue;
}

/** Medians, in ms: from the publish until its confirm, and until it came. */
export interface Waits {
  readonly confirmed: number;
  readonly delivered: number;
}

const PREFETCH = 1_024;
const SIXTEENTH = 16;
const KEY = 'device-0.door.badge';
const FITTING = '*.door.#';
const DEADLINE_MS = 20_000;
const median = (values: readonly number[]) => spread(values).median;

export class BrokerEnds {
  readonly #choices: Choices;
  readonly #models: readonly ChannelModel[];
  readonly #name: string;
  #publishes: AmqpConfirmChannel | undefined;
  #end: () => Promise<unknown> = async () => {};
  #delivered: number[] = [];
  #confirmed: number[] = [];

  private constructor(name: string, choices: Choices, models: readonly ChannelModel[]) {
    this.#name = name;
    this.#choices = choices;
    this.#models = models;
  }

  /** `name` is of the queue, of the exchange and of the consumer. */
  static async open(url: string, name: string, choices: Choices): Promise<BrokerEnds> {
    const models: ChannelModel[] = [];
    for (let count = 0; count < choices.connections; count += 1) {
      models.push(await connect(`${url}?heartbeat=600`, { noDelay: true }));
    }
    const ends = new BrokerEnds(name, choices, models);
    await ends.#declare();
    return ends;
  }

  async #declare(): Promise<void> {
    const { hasConfirms, bindings, queue } = this.#choices;
    const [publishing, consuming = publishing] = this.#models;
    if (publishing === undefined || consuming === undefined) throw new Error('no connection');
    writeDirectly(connectionOf(publishing));
    const publishes = hasConfirms
      ? await publishing.createConfirmChannel()
      : await publishing.createChannel();
    this.#publishes = publishes as unknown as AmqpConfirmChannel;
    const channel = await consuming.createChannel();
    await channel.assertQueue(this.#name, queue);
    if (bindings > 0) await channel.assertExchange(this.#name, 'topic', { durable: true });
    for (let count = 0; count < bindings; count += 1) {
      const pattern = count === 0 ? FITTING : `*.topic-${count}.#`;
      await channel.bindQueue(this.#name, this.#name, pattern);
    }
    this.#end = async () => {
      await channel.cancel(this.#name);
      await channel.deleteQueue(this.#name);
      if (bindings > 0) await channel.deleteExchange(this.#name);
    };
    await channel.prefetch(PREFETCH);
    const ack = this.#acker((message, isAllUpTo) => channel.ack(message, isAllUpTo));
    await channel.consume(
      this.#name,
      (message) => {
        if (message === null) throw new Error('the broker ended the consumer');
        this.#delivered.push(performance.now() - message.content.readDoubleBE());
        ack(message);
      },
      { noAck: this.#choices.acks === 'none', consumerTag: this.#name },
    );
  }

  #acker(
    ack: (message: ConsumeMessage, isAllUpTo: boolean) => void,
  ): (message: ConsumeMessage) => void {
    let last: ConsumeMessage | undefined;
    let waiting = 0;
    const flush = () => {
      if (last !== undefined) ack(last, true);
      last = undefined;
      waiting = 0;
    };
    const kinds = {
      none: () => {},
      each: (message: ConsumeMessage) => ack(message, false),
      turn: (message: ConsumeMessage) => {
        if (last === undefined) setImmediate(flush);
        last = message;
      },
      sixteenth: (message: ConsumeMessage) => {
        last = message;
        waiting += 1;
        if (waiting === SIXTEENTH) flush();
      },
    };
    return kinds[this.#choices.acks];
  }

  /** Publishes so many, evenly, and resolves when each has come, and is confirmed if it will be. */
  async send(rate: number, seconds: number, everyMs: number): Promise<Waits> {
    const total = Math.round(rate * seconds);
    const begin = performance.now();
    this.#delivered = [];
    this.#confirmed = [];
    for (let sent = 0; sent < total; ) {
      const due = Math.min(total, Math.floor(((performance.now() - begin) * rate) / 1_000));
      this.#publish(due - sent);
      sent = due;
      await pause(everyMs);
    }
    const confirms = this.#choices.hasConfirms ? total : 0;
    const isAll = () => this.#delivered.length === total && this.#confirmed.length === confirms;
    await waitFor(`${total} messages at ${this.#name}`, isAll, DEADLINE_MS);
    return { confirmed: median(this.#confirmed), delivered: median(this.#delivered) };
  }

  #publish(count: number): void {
    const { bindings, bytes, hasConfirms, publish } = this.#choices;
    const [exchange, key] = bindings === 0 ? ['', this.#name] : [this.#name, KEY];
    const body = Buffer.alloc(bytes);
    const now = performance.now();
    body.writeDoubleBE(now);
    const onAnswer = (error: Error | null) => {
      if (error) throw error;
      this.#confirmed.push(performance.now() - now);
    };
    for (let index = 0; index < count; index += 1) {
      const isAnswered = hasConfirms ? [onAnswer] : [];
      // Its header tables are written at once: they may be the same objects each time.
      this.#publishes?.publish(exchange, key, body, publish, ...isAnswered);
    }
  }

  /** Leaves nothing at the broker. */
  async close(): Promise<void> {
    await this.#end();
    for (const model of this.#models) await model.close();
  }
}
