/**
 * Watch: sees every EVENT of this run arrive at the broker, and compares with what was ACKed; wills
 * among them are for willWatch.ts.
 * From: `<prefix>.events`, through an exclusive queue bound to everything.
 * To: the violations `vanished` (ACKed, never delivered) and `redelivered` (delivered again).
 * Bound: one bit per event and device. While it watches, no event is unrouted.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import amqp, { type ChannelModel, type ConsumeMessage } from 'amqplib';
import { names } from '../../src/broker/topology.ts';
import { KIND, readMark } from '../plan/payload.ts';
import { deviceId, type Plan } from '../plan/plan.ts';
import { UsageError, wordsOf } from '../plan/units.ts';
import { ownQueue } from './ownQueue.ts';
import { EXAMPLES_MAX, type Example } from './violations.ts';
import { WillWatch } from './willWatch.ts';

const CONNECT_TRIES = 20;
const RETRY_MS = 500;
/** After the end, so long without a delivery means that there will be none. */
const QUIET_MS = 3_000;
const LOOK_MS = 20;

export interface Watched {
  readonly delivered: number;
  readonly vanished: number;
  readonly redelivered: number;
  /** Redelivered without saying so: neither a `resent` header nor the broker's own flag. */
  readonly unmarked: number;
  /** Wills that came, and of links whose will had to; missing without any. */
  readonly wills?: { readonly published: number; readonly owed: number };
  readonly examples: readonly Example[];
}

/** A growing set of small numbers, one bit each. */
class Bits {
  #bytes = new Uint8Array(8);

  has(at: number): boolean {
    return ((this.#bytes[at >> 3] ?? 0) & (1 << (at & 7))) !== 0;
  }

  add(at: number): void {
    const index = at >> 3;
    if (index >= this.#bytes.length) {
      const grown = new Uint8Array(Math.max(index + 1, 2 * this.#bytes.length));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes[index] = (this.#bytes[index] as number) | (1 << (at & 7));
  }
}

type ContentOf = (payload: Buffer) => Buffer | undefined;

export class Watch {
  readonly wills = new WillWatch();
  readonly #plan: Plan;
  readonly #contentOf: ContentOf;
  readonly #seen = new Map<number, Bits>();
  readonly #examples: Example[] = [];
  #connection: ChannelModel | undefined;
  #delivered = 0;
  #redelivered = 0;
  #unmarked = 0;
  #lastMs = 0;

  /** `contentOf`: our own bytes in an event's payload. */
  constructor(plan: Plan, contentOf: ContentOf = (payload) => payload) {
    this.#plan = plan;
    this.#contentOf = contentOf;
  }

  /** Bind before the first event is sent. Throws UsageError when the broker cannot be had. */
  async start(url: string, prefix: string, triesMax = CONNECT_TRIES): Promise<void> {
    const exchange = names(prefix).events;
    let why = '';
    for (let tries = 0; tries < triesMax; tries += 1) {
      try {
        await this.#bind(url, exchange);
        return;
      } catch (error) {
        why = wordsOf(error);
        await this.stop();
        await sleep(RETRY_MS);
      }
    }
    throw new UsageError(`--amqp: cannot watch ${exchange}: ${why}`);
  }

  async #bind(url: string, exchange: string): Promise<void> {
    const connection = await amqp.connect(url, { noDelay: true });
    this.#connection = connection;
    connection.on('error', () => {});
    const channel = await connection.createChannel();
    channel.on('error', () => {});
    await channel.checkExchange(exchange);
    await ownQueue(channel, (message) => this.#onEvent(message), exchange);
  }

  async stop(): Promise<void> {
    await this.#connection?.close().catch(() => {});
    this.#connection = undefined;
  }

  #onEvent(message: ConsumeMessage): void {
    const content = this.#contentOf(message.content);
    const mark = content && readMark(content);
    if (mark?.run !== this.#plan.run) return;
    if (mark.kind === KIND.will) this.wills.see(mark.device, mark.number);
    if (mark.kind !== KIND.event) return;
    this.#lastMs = performance.now();
    this.#delivered += 1;
    let seen = this.#seen.get(mark.device);
    if (seen === undefined) {
      seen = new Bits();
      this.#seen.set(mark.device, seen);
    }
    if (seen.has(mark.number)) this.#onAgain(mark.device, mark.number, message);
    else seen.add(mark.number);
  }

  #onAgain(device: number, number: number, { fields, properties }: ConsumeMessage): void {
    this.#redelivered += 1;
    const isMarked = fields.redelivered || properties.headers?.resent !== undefined;
    if (!isMarked) this.#unmarked += 1;
    const how = isMarked ? 'marked as such' : 'not marked';
    this.#note('redelivered', device, `event ${number} came again, ${how}`);
  }

  #note(violation: 'vanished' | 'redelivered', device: number, text: string): void {
    const known = this.#examples.filter((example) => example.violation === violation).length;
    if (known >= EXAMPLES_MAX) return;
    this.#examples.push({ violation, device: deviceId(this.#plan, device), text });
  }

  /**
   * Compare with what was sent and ACKed. `sent`: events of each device; `unacked`: device and
   * number, in turn. Waits for deliveries on their way for at most `waitMs`.
   */
  async finish(
    sent: ReadonlyMap<number, number>,
    unacked: readonly number[],
    waitMs: number,
  ): Promise<Watched> {
    const excused = new Map<number, Set<number>>();
    for (let at = 0; at < unacked.length; at += 2) {
      const device = unacked[at] as number;
      const numbers = excused.get(device) ?? new Set();
      numbers.add(unacked[at + 1] as number);
      excused.set(device, numbers);
    }
    const untilMs = performance.now() + Math.min(waitMs, QUIET_MS);
    let missing = this.#missing(sent, excused);
    while (missing.length > 0 && performance.now() < Math.max(untilMs, this.#quietMs(waitMs))) {
      await sleep(LOOK_MS);
      missing = this.#missing(sent, excused);
    }
    for (const [device, number] of missing.slice(0, EXAMPLES_MAX)) {
      this.#note('vanished', device, `event ${number} was ACKed and never delivered`);
    }
    return {
      delivered: this.#delivered,
      vanished: missing.length,
      redelivered: this.#redelivered,
      unmarked: this.#unmarked,
      examples: this.#examples,
    };
  }

  #quietMs(waitMs: number): number {
    return this.#lastMs + Math.min(waitMs, QUIET_MS);
  }

  /** Device and number of every ACKed event that has not been delivered. */
  #missing(
    sent: ReadonlyMap<number, number>,
    excused: ReadonlyMap<number, ReadonlySet<number>>,
  ): [number, number][] {
    const missing: [number, number][] = [];
    for (const [device, count] of sent) {
      const seen = this.#seen.get(device);
      for (let number = 1; number <= count; number += 1) {
        if (seen?.has(number) !== true && excused.get(device)?.has(number) !== true) {
          missing.push([device, number]);
        }
      }
    }
    return missing;
  }
}
