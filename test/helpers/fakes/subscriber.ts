/**
 * A subscriber of presence, as docs/presence.md wants it: binds its queue, then asks for all rows,
 * then merges by (epoch, seq). It comes back by itself when the broker does.
 * From: the broker.  To: its view, and every event that it heard.
 * Bound: none; it keeps everything.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type Channel, type ChannelModel, type ConsumeMessage, connect } from 'amqplib';
import { names } from '../../../src/broker/topology.ts';

export interface PresenceEvent {
  readonly device: string;
  readonly epoch: number;
  readonly seq: number;
  readonly online: boolean;
  readonly connection: string;
  readonly acceptor: string;
  readonly at: number;
  readonly reason: string;
}

export interface Page {
  readonly epoch: number;
  readonly devices: readonly PresenceEvent[];
  readonly next: string | null;
}

const RETRY_MS = 200;
const ANSWER_MS = 3_000;

export class Subscriber {
  readonly view = new Map<string, PresenceEvent>();
  readonly heard: PresenceEvent[] = [];
  readonly #url: string;
  readonly #names: ReturnType<typeof names>;
  /** Durable, so that nothing is missed while the broker or this is away. */
  readonly #queue = `subscriber.${randomUUID()}`;
  readonly #answers = new Map<string, (message: ConsumeMessage) => void>();
  #model: ChannelModel | undefined;
  #channel: Channel | undefined;
  #isClosed = false;

  constructor(url: string, prefix: string) {
    this.#url = url;
    this.#names = names(prefix);
  }

  /** Resolves when it hears events. The exchange must be there. */
  static async start(url: string, prefix: string): Promise<Subscriber> {
    const subscriber = new Subscriber(url, prefix);
    await subscriber.#connect();
    return subscriber;
  }

  async #connect(): Promise<void> {
    const model = await connect(this.#url);
    this.#model = model;
    model.on('error', () => {});
    model.once('close', () => {
      this.#channel = undefined;
      if (!this.#isClosed) void this.#again();
    });
    const channel = await model.createChannel();
    channel.on('error', () => {});
    await channel.assertQueue(this.#queue, { durable: true, expires: 600_000 });
    await channel.bindQueue(this.#queue, this.#names.presence, '#');
    await channel.consume(this.#queue, (message) => {
      if (message) this.#onMessage(channel, message);
    });
    this.#channel = channel;
  }

  async #again(): Promise<void> {
    while (!this.#isClosed) {
      await pause(RETRY_MS);
      try {
        await this.#connect();
        return;
      } catch {
        // Not yet.
      }
    }
  }

  #onMessage(channel: Channel, message: ConsumeMessage): void {
    const { correlationId } = message.properties as { correlationId?: string };
    if (correlationId === undefined) {
      const event = JSON.parse(message.content.toString()) as PresenceEvent;
      this.heard.push(event);
      this.merge(event);
    } else {
      this.#answers.get(correlationId)?.(message);
    }
    channel.ack(message);
  }

  merge(event: PresenceEvent): void {
    const known = this.view.get(event.device);
    const isNewer =
      !known || event.epoch > known.epoch || (event.epoch === known.epoch && event.seq > known.seq);
    if (isNewer) this.view.set(event.device, event);
  }

  /** Ask the registrar; asks again while no answer comes. Rejects with what it answers as error. */
  async query<T = Page>(query: object): Promise<T> {
    for (;;) {
      const answer = await this.#ask(JSON.stringify(query));
      if (answer) return JSON.parse(answer.content.toString()) as T;
    }
  }

  #ask(body: string): Promise<ConsumeMessage | undefined> {
    const correlationId = randomUUID();
    return new Promise((resolve) => {
      const end = (message?: ConsumeMessage) => {
        clearTimeout(late);
        this.#answers.delete(correlationId);
        resolve(message);
      };
      const late = setTimeout(end, ANSWER_MS);
      this.#answers.set(correlationId, end);
      try {
        this.#channel?.sendToQueue(this.#names.presenceQuery, Buffer.from(body), {
          correlationId,
          replyTo: this.#queue,
        });
      } catch {
        // The channel is closing; the next one is asked.
      }
    });
  }

  /** All rows, page by page, merged into the view. */
  async catchUp(limit = 1_000): Promise<number> {
    let pages = 0;
    for (let after: string | null = ''; after !== null; pages += 1) {
      const page: Page = await this.query({ after, limit });
      for (const event of page.devices) this.merge(event);
      after = page.next;
    }
    return pages;
  }

  /** Ids of the devices that it takes for online. */
  online(): string[] {
    const online = [...this.view.values()].filter((event) => event.online);
    return online.map(({ device }) => device).toSorted();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#channel?.deleteQueue(this.#queue).catch(() => {});
    await this.#model?.close().catch(() => {});
  }
}
