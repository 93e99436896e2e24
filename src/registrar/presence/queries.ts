/**
 * Queries: answers "is this device connected?" and "which are?" from the store's rows.
 * From: the query queue, JSON (docs/presence.md).  To: the asker's `reply_to`, JSON; each row with
 * its device's pending commands.
 * Bound: `presenceQueriesMax` at once, each acked when answered; `presencePageMax` devices each. A
 * query has QUERY_BYTES_MAX. An answer that its queue does not take at once is dropped. Pages are
 * read PIECE_ROWS at a time, in turns (turns.ts): commands need the same store.
 */
import type { Limits } from '../../base/limits.ts';
import type { QueryFate } from '../../base/metrics.ts';
import { type AmqpMessage, type ConsumeChannel, isClosing } from '../../broker/amqp.ts';
import type { Answers } from '../../broker/answers.ts';
import { eventOf, type Row } from '../store/presenceRules.ts';
import type { Store } from '../store/store.ts';
import { Turns } from './turns.ts';

/** Far more than a device id and a number need. */
const QUERY_BYTES_MAX = 4_096;
/** Rows of a page that are read and written out at once: a few ms, which a command may wait for. */
const PIECE_ROWS = 100;

export interface QueriesOptions {
  readonly answers: Pick<Answers, 'publish' | 'isFull'>;
  readonly store: Pick<Store, 'read' | 'page'>;
  readonly limits: Limits;
  /** Undefined while the store is not open. */
  readonly epoch: () => number | undefined;
  /** How many kept commands of a device have not ended. */
  readonly commandsOf: (device: string) => number;
  /** Fates of queries, for the metrics. */
  readonly count: (fate: QueryFate) => void;
}

/** What of a question's properties matters. */
interface Asker {
  readonly replyTo?: string;
  readonly correlationId?: string;
}

/** Those behind `after`, in the order of device ids. */
interface Page {
  readonly after: string;
  readonly limit: number;
}

type Query = { readonly device: string } | Page;

export class Queries {
  readonly #options: QueriesOptions;
  readonly #turns = new Turns(() => performance.now());

  constructor(options: QueriesOptions) {
    this.#options = options;
  }

  /**
   * Consume `queue`. `onCancel` is called when the broker ends it, as when the queue was deleted.
   */
  async open(channel: ConsumeChannel, queue: string, onCancel: () => void): Promise<void> {
    await channel.prefetch(this.#options.limits.presenceQueriesMax);
    const onMessage = (message: AmqpMessage | null) => {
      if (message === null) onCancel();
      else void this.#onQuery(channel, message);
    };
    await channel.consume(queue, onMessage);
  }

  async #onQuery(channel: ConsumeChannel, message: AmqpMessage): Promise<void> {
    const asker = message.properties as Asker;
    if (asker.replyTo) this.#publish(asker, ...(await this.#answer(message.content)));
    else this.#options.count('nowhere');
    try {
      channel.ack(message);
    } catch (error) {
      // The channel is gone; the query will be delivered again.
      if (!isClosing(error)) throw error;
    }
  }

  #publish({ replyTo: queue = '', correlationId }: Asker, fate: QueryFate, body: string): void {
    const { answers, count } = this.#options;
    if (answers.isFull()) {
      count('dropped');
      return;
    }
    answers.publish({
      kind: 'answer',
      queue,
      body: Buffer.from(body),
      isRepeated: false,
      properties: () => ({
        appId: 'owsla',
        type: 'presence.snapshot',
        contentType: 'application/json',
        persistent: false,
        ...(correlationId === undefined ? {} : { correlationId }),
      }),
      onConfirm: () => count(fate),
      onDrop: () => count('dropped'),
    });
  }

  async #answer(content: Buffer): Promise<[QueryFate, string]> {
    const { limits, epoch } = this.#options;
    const query = readQuery(content, limits.presencePageMax);
    if (typeof query === 'string') return ['bad', failure('bad-query', query)];
    const now = epoch();
    if (now === undefined) return ['unavailable', failure('unavailable', 'the store is not open')];
    try {
      return ['answered', await this.#rows(now, query)];
    } catch (error) {
      return ['unavailable', failure('unavailable', (error as Error).message)];
    }
  }

  async #rows(epoch: number, query: Query): Promise<string> {
    if ('limit' in query) return this.#page(epoch, query);
    const rows = await this.#options.store.read([query.device]);
    return snapshot(epoch, this.#write(epoch, rows), null);
  }

  async #page(epoch: number, { after, limit }: Page): Promise<string> {
    const { store } = this.#options;
    const devices: string[] = [];
    for (let next = after; ; ) {
      const wanted = Math.min(PIECE_ROWS, limit - devices.length);
      const last = await this.#turns.take(async () => {
        const rows = await store.page(next, wanted);
        devices.push(...this.#write(epoch, rows));
        return rows.length === wanted ? rows.at(-1)?.device : undefined;
      });
      if (last === undefined) return snapshot(epoch, devices, null);
      if (devices.length === limit) return snapshot(epoch, devices, last);
      next = last;
    }
  }

  #write(epoch: number, rows: readonly Row[]): string[] {
    const { commandsOf } = this.#options;
    return rows.map((row) => eventOf(row, epoch, { commands: commandsOf(row.device) }));
  }
}

function snapshot(epoch: number, devices: readonly string[], next: string | null): string {
  return `{"epoch":${epoch},"devices":[${devices}],"next":${JSON.stringify(next)}}`;
}

function failure(error: string, message: string): string {
  return JSON.stringify({ error, message });
}

/** The query; or, as a string, what is wrong with it. */
export function readQuery(content: Buffer, pageMax: number): Query | string {
  let given: Record<string, unknown>;
  if (content.length > QUERY_BYTES_MAX) return `a query has ${QUERY_BYTES_MAX} bytes at most`;
  try {
    given = (content.length === 0 ? {} : JSON.parse(content.toString())) as typeof given;
  } catch {
    return 'a query is a JSON object';
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    return 'a query is a JSON object';
  }
  const { device, after = '', limit = pageMax } = given;
  if (device !== undefined) return typeof device === 'string' ? { device } : 'device is a string';
  if (after !== null && typeof after !== 'string') return 'after is a string';
  if (!Number.isInteger(limit) || Number(limit) < 1) return 'limit is a whole number from 1 up';
  return { after: after ?? '', limit: Math.min(Number(limit), pageMax) };
}
