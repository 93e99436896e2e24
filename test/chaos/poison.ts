/**
 * Poison: odd messages, as a backend with the documented permissions may publish them.
 * From: badBackends.ts, with what it has heard of others.  To: four messages at a time: a command,
 * a question about presence, a reply, and one of them at the limits.
 * Bound: the last NAMES_MAX names that were heard; nothing else is kept.
 */
import { Random } from '../../loadgen/plan/random.ts';
import type { Properties } from '../../src/broker/content.ts';
import type { Names } from '../../src/broker/topology.ts';
import { FIELDS, field, type RawMessage, text } from '../helpers/fakes/rawBackend.ts';
import { MUTES, muteName } from './badDevices.ts';

const NAMES_MAX = 100;
const DEADLINE_MS = 2_000;
const LIMIT_BYTES = 64 * 1024;
const SHORT_MAX = 255;
const FRAMES_MAX = 200 * 1024;
/** One in so many names a queue of another broker: this one closes the connection for it. */
const FOREIGN_EACH = 200;
const FOREIGN =
  'amq.rabbitmq.reply-to.g1h2ABpyZXBseUA2NTgwNjc1MgAANl8AAAAAY1jSQA==.7kDy5z3zGcLJPAChwLK8Pg==';
const QUESTIONS = ['{}', '', '[', '{"limit":3}', '{"after":"chaos-","limit":1e99}', '{"device":7}'];

export class Poison {
  readonly #at: Names;
  readonly #random: Random;
  /** Reply queues of acceptors; ids of REQUESTs of ours; ids of EVENTs of innocents. */
  readonly #replyTos: string[] = [];
  readonly #ours: string[] = [];
  readonly #others: string[] = [];
  #count = 0;

  constructor(at: Names, seed: number) {
    this.#at = at;
    this.#random = new Random(seed, 3);
  }

  /** What came to the poisoner: a REQUEST of its own device, or an EVENT of an innocent one. */
  hear({ replyTo = '', messageId = '', type }: Properties): void {
    if (type === 'request') {
      if (!this.#replyTos.includes(replyTo)) keep(this.#replyTos, replyTo);
      keep(this.#ours, messageId);
    } else if (type === 'event') {
      keep(this.#others, messageId);
    }
  }

  /** The next four; `queue` is the poisoner's own. */
  make(queue: string): RawMessage[] {
    this.#count += 1;
    return [this.#command(queue), this.#question(queue), this.#reply(), this.#limit(queue)];
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[this.#random.below(list.length)];
  }

  #bytes(length: number): string {
    return text(Array.from({ length }, () => this.#random.below(256)));
  }

  /** An id: of any bytes, of any length, somebody else's. */
  #id(): string {
    const odd = [this.#bytes(8), this.#bytes(SHORT_MAX), '', '\0', text([0xc3, 0x28])];
    return this.#pick([...odd, this.#pick(this.#others) ?? '']) ?? '';
  }

  #queue(own: string): string {
    if (this.#count % FOREIGN_EACH === 0) return FOREIGN;
    return this.#pick([own, own, 'backend.nobody', this.#bytes(SHORT_MAX), '', '\xff']) ?? own;
  }

  /** A header table with a field of any type, and a deadline where that is to be a good one. */
  #table(name: string): Buffer {
    const [tag, value] = this.#pick(FIELDS) ?? ['V', []];
    return field(name, tag, value);
  }

  #deadline(): Buffer {
    const value = Buffer.alloc(8);
    value.writeBigInt64BE(BigInt(Date.now() + DEADLINE_MS));
    return field('deadline', 'l', value);
  }

  #command(own: string): RawMessage {
    const device = this.#pick([muteName(this.#random.below(MUTES)), this.#bytes(16), 'unknown']);
    const isOdd = this.#random.next() < 0.5;
    return {
      exchange: this.#at.commands,
      routingKey: device ?? '',
      properties: {
        type: this.#pick(['bad.now', 'bad.now', '', this.#bytes(SHORT_MAX)]) ?? '',
        deliveryMode: 1 + this.#random.below(2),
        messageId: this.#id(),
        correlationId: this.#id(),
        replyTo: this.#queue(own),
      },
      table: isOdd
        ? this.#table('deadline')
        : Buffer.concat([this.#deadline(), this.#table('x-other')]),
      body: Buffer.from(this.#bytes(20), 'latin1'),
    };
  }

  #question(own: string): RawMessage {
    return {
      routingKey: this.#at.presenceQuery,
      properties: { replyTo: this.#queue(own), correlationId: this.#id() },
      table: this.#table('x-other'),
      body: Buffer.from(this.#pick(QUESTIONS) ?? ''),
    };
  }

  /** To a REQUEST of its own device, or to an EVENT of another; sometimes to nothing at all. */
  #reply(): RawMessage {
    const correlationId = this.#ours.pop() ?? this.#id();
    const foreign = this.#pick(this.#others) ?? correlationId;
    return {
      routingKey: this.#pick(this.#replyTos) ?? this.#at.presenceQuery,
      properties: {
        correlationId: this.#random.next() < 0.5 ? correlationId : foreign,
        type: this.#bytes(SHORT_MAX),
        messageId: this.#id(),
      },
      table: this.#table(this.#random.next() < 0.5 ? 'status' : 'x-other'),
      body: Buffer.from(this.#bytes(20), 'latin1'),
    };
  }

  #limit(own: string): RawMessage {
    const message = this.#pick([this.#command(own), this.#question(own), this.#reply()]);
    const length = this.#pick([LIMIT_BYTES, LIMIT_BYTES + 1, FRAMES_MAX, 0]);
    return { ...(message as RawMessage), body: Buffer.alloc(length ?? 0, 0xff) };
  }
}

function keep(list: string[], name: string): void {
  list.push(name);
  if (list.length > NAMES_MAX) list.shift();
}
