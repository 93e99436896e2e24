/**
 * PresenceWatch: does the presence of devices stay what it is while their links move?
 * From: `<prefix>.presence`, through a queue of its own, and rows asked for at the query queue.
 * To: who compares: deploy.ts, a bench.
 * Bound: one row a device. One question at a time; each has ANSWER_MS.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import amqp, { type Channel, type ChannelModel, type ConsumeMessage } from 'amqplib';
import { names } from '../../src/broker/topology.ts';
import { ownQueue } from '../measure/ownQueue.ts';

const ANSWER_MS = 30_000;
const LOOK_MS = 500;
const PAGE = 1_000;

/** What of a row must stay. */
export interface PresenceRow {
  readonly device: string;
  readonly epoch: number;
  readonly seq: number;
  readonly online: boolean;
  readonly connection: string;
}

export type PresenceRows = ReadonlyMap<string, PresenceRow>;

export interface PresenceChanges {
  /** Devices with a word of presence that was not known before. */
  readonly events: number;
  /** Devices whose row is another one. */
  readonly rows: number;
  /** Some of both. */
  readonly examples: readonly { readonly device: string; readonly text: string }[];
}

const EXAMPLES_MAX = 5;

export class PresenceWatch {
  readonly #first: string;
  readonly #isOurs: (device: string) => boolean;
  #connection: ChannelModel | undefined;
  #channel: Channel | undefined;
  #queryQueue = '';
  #answerQueue = '';
  #onAnswer: (message: ConsumeMessage) => void = () => {};
  /** The latest word about each device. */
  readonly #heard = new Map<string, PresenceRow>();

  /** Devices whose ids are longer than `first` and begin with it; of these those that `isOurs`. */
  constructor(first: string, isOurs: (device: string) => boolean) {
    this.#first = first;
    this.#isOurs = isOurs;
  }

  /** Rejects with the broker's error. */
  async start(url: string, prefix: string): Promise<void> {
    const at = names(prefix);
    this.#queryQueue = at.presenceQuery;
    const connection = await amqp.connect(url, { noDelay: true });
    this.#connection = connection;
    connection.on('error', () => {});
    const channel = await connection.createChannel();
    channel.on('error', () => {});
    this.#channel = channel;
    await channel.checkExchange(at.presence);
    await ownQueue(channel, (message) => this.#onEvent(message), at.presence);
    this.#answerQueue = await ownQueue(channel, (message) => this.#onAnswer(message));
  }

  async stop(): Promise<void> {
    await this.#connection?.close().catch(() => {});
    this.#connection = undefined;
  }

  #onEvent(message: ConsumeMessage): void {
    const row = JSON.parse(message.content.toString()) as PresenceRow;
    if (this.#has(row.device)) this.#heard.set(row.device, row);
  }

  #has(device: string): boolean {
    return device.startsWith(this.#first) && this.#isOurs(device);
  }

  /** All rows of our devices. Rejects when nobody answers in time. */
  async rows(): Promise<PresenceRows> {
    const rows = new Map<string, PresenceRow>();
    let after = this.#first;
    for (;;) {
      const place = after === '' ? {} : { after };
      const { devices, next } = await this.#ask({ ...place, limit: PAGE });
      for (const row of devices) if (this.#has(row.device)) rows.set(row.device, row);
      if (next === null || !next.startsWith(this.#first)) return rows;
      after = next;
    }
  }

  /** The rows once `count` devices are online; what there is after `waitMs`. */
  async rowsOnline(count: number, waitMs: number): Promise<PresenceRows> {
    const untilMs = performance.now() + waitMs;
    for (;;) {
      const rows = await this.rows();
      const online = [...rows.values()].filter((row) => row.online).length;
      if (online >= count || performance.now() > untilMs) return rows;
      await sleep(LOOK_MS);
    }
  }

  async #ask(query: object): Promise<{ devices: PresenceRow[]; next: string | null }> {
    const correlationId = randomUUID();
    const answer = new Promise<ConsumeMessage>((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`no answer about presence in ${ANSWER_MS / 1_000} s`));
      }, ANSWER_MS);
      this.#onAnswer = (message) => {
        if (message.properties.correlationId !== correlationId) return;
        clearTimeout(timer);
        resolve(message);
      };
    });
    const properties = { replyTo: this.#answerQueue, correlationId };
    this.#channel?.sendToQueue(this.#queryQueue, Buffer.from(JSON.stringify(query)), properties);
    const body = JSON.parse((await answer).content.toString());
    if (body.error !== undefined) throw new Error(`presence: ${body.error}: ${body.message}`);
    return body;
  }

  /** What has changed since `before`, of those that were online then. */
  changes(before: PresenceRows, after: PresenceRows): PresenceChanges {
    const examples: { device: string; text: string }[] = [];
    let [events, rows] = [0, 0];
    for (const [device, then] of before) {
      if (!then.online) continue;
      const heard = this.#heard.get(device);
      if (heard !== undefined && isLater(heard, then)) events += 1;
      const now = after.get(device);
      if (now !== undefined && isSame(now, then)) continue;
      rows += 1;
      if (examples.length < EXAMPLES_MAX) examples.push({ device, text: textOf(then, now) });
    }
    return { events, rows, examples };
  }
}

function isLater(one: PresenceRow, than: PresenceRow): boolean {
  return one.epoch > than.epoch || (one.epoch === than.epoch && one.seq > than.seq);
}

function isSame(now: PresenceRow, then: PresenceRow): boolean {
  const isSameWord = now.epoch === then.epoch && now.seq === then.seq && now.online === then.online;
  return isSameWord && now.connection === then.connection;
}

function textOf(then: PresenceRow, now: PresenceRow | undefined): string {
  if (now === undefined) return `seq ${then.seq}, and then no row`;
  const link = now.connection === then.connection ? 'the same link' : 'another link';
  return `seq ${then.seq}, then ${now.seq}, ${now.online ? 'online' : 'offline'}, ${link}`;
}
