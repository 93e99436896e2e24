/**
 * Wills: what devices have left to be published: their part in the recorder's transactions, and
 * the outbox of those that are to be published.
 * From: recorder.ts, batch by batch.  To: a WillBook for each; the publisher; acceptors, which are
 * asked for wills and told of goodbyes; willClock.ts.
 * Bound: `willsBytesMax` in the store (sqliteWills.ts); of the broker, a publisher's window.
 */
import { bump, type PresenceCounters } from '../../base/metrics.ts';
import type { Trace } from '../../base/trace.ts';
import type { Publisher, PublisherCounts, Publishing } from '../../broker/publisher.ts';
import { OutboxReader } from '../store/outboxReader.ts';
import type { WillEvent, WillStore, WillWrites } from '../store/willRows.ts';
import { WillBook } from './willBook.ts';
import type { WillClock } from './willClock.ts';
import { WillPublishing } from './willPublishing.ts';

/** How often the store is asked how many there are. */
const COUNT_EVERY_MS = 1_000;

type WillCounters = Pick<
  PresenceCounters,
  'willEnds' | 'willDrops' | 'wills' | 'willsWaiting' | 'willOutbox' | 'willBytes'
>;

export interface WillsOptions {
  readonly store: WillStore;
  readonly publisher: Pick<Publisher, 'publish' | 'isFull'>;
  readonly exchange: string;
  readonly limits: { readonly presenceBatchMax: number };
  readonly clock: { now(): number; wall(): number };
  readonly counters: WillCounters;
  readonly trace: Trace;
  readonly due: Pick<WillClock, 'waits' | 'allTold'>;
  readonly onWanted: (
    acceptor: string,
    links: readonly (readonly [device: string, connection: string])[],
  ) => void;
  readonly onGone: (acceptor: string, connections: readonly string[]) => void;
  /** The store can be trusted, as far as is known. */
  readonly mayRead: () => boolean;
  readonly onFault: (error: unknown) => void;
}

/** What the publisher of wills counts. */
export function willCounts(counters: Pick<WillCounters, 'willDrops'>): PublisherCounts {
  return { dropped: (reason) => bump(counters.willDrops, reason) };
}

export class Wills {
  readonly #options: WillsOptions;
  readonly #outbox: OutboxReader<WillEvent, Publishing>;
  /** The store has been asked what there is. */
  #isOpen = false;
  #lastEvent = 0;
  #settledTo = 0;
  /** There may be wills of which no batch so far has shown any. */
  #mayHave = true;
  #commits = 0;
  #countAt = 0;

  constructor(options: WillsOptions) {
    const { store, publisher, exchange, limits, mayRead, onFault } = options;
    this.#options = options;
    this.#outbox = new OutboxReader({
      read: (after, limit) => store.willOutbox(after, limit),
      pageMax: limits.presenceBatchMax,
      publisher,
      publishing: (event, onConfirm, onDrop) =>
        new WillPublishing(exchange, event, onConfirm, onDrop),
      onPublish: ({ device, connection }) => {
        // tla: Will!Publish
        options.trace('Will!Publish', { device, connection });
      },
      onConfirm: ({ device, connection }) => {
        // tla: Will!Confirm
        options.trace('Will!Confirm', { device, connection });
      },
      ...{ mayRead, onFault },
    });
  }

  /** The book of a batch about these devices. Rejects with a StoreError. */
  async open(devices: readonly string[]): Promise<WillBook> {
    const { store, trace, clock } = this.#options;
    await this.#begin();
    const heads = this.#mayHave && devices.length > 0 ? await store.readWills(devices) : [];
    return new WillBook({ heads, lastEvent: this.#lastEvent, trace, wall: clock.wall });
  }

  async #begin(): Promise<void> {
    if (this.#isOpen) return;
    const { kept, lastEvent } = await this.#options.store.willFigures();
    this.#isOpen = true;
    this.#mayHave = kept > 0;
    this.#lastEvent = lastEvent;
    this.#outbox.recordedTo(lastEvent);
  }

  /** For the batch's transaction; undefined: there is nothing to write. */
  writes({ changes }: WillBook): WillWrites | undefined {
    const settledTo = this.#outbox.settledTo();
    if (changes.length === 0 && settledTo <= this.#settledTo) return undefined;
    return { changes, settledTo };
  }

  /** It is on disk. */
  committed(book: WillBook, written: WillWrites | undefined): void {
    const { counters, due, onWanted, onGone } = this.#options;
    this.#commits += 1;
    this.#settledTo = written?.settledTo ?? this.#settledTo;
    if (book.changes.length > 0) this.#mayHave = true;
    if (book.soonestMs !== undefined) due.waits(book.soonestMs);
    if (book.lastEvent > this.#lastEvent) {
      this.#lastEvent = book.lastEvent;
      this.#outbox.recordedTo(this.#lastEvent);
    }
    for (const fate of book.ends) bump(counters.willEnds, fate);
    for (const [acceptor, links] of book.wanted) onWanted(acceptor, links);
    for (const [acceptor, connections] of book.gone) onGone(acceptor, connections);
    for (const { acceptor, mark } of book.allTold) due.allTold(acceptor, mark);
  }

  /** The publisher has room. Never rejects. */
  makeRoom(): Promise<void> {
    return this.#outbox.makeRoom();
  }

  /** Now and then, and only while there are any, count them. */
  async count(): Promise<void> {
    const { clock, store, counters, onFault } = this.#options;
    const isQuiet = !this.#mayHave && this.#settledTo >= this.#lastEvent;
    if (!this.#isOpen || isQuiet || clock.now() < this.#countAt) return;
    this.#countAt = clock.now() + COUNT_EVERY_MS;
    const commits = this.#commits;
    try {
      const { kept, waiting, outbox, bytes, full } = await store.willFigures();
      const figures = { wills: kept, willsWaiting: waiting, willOutbox: outbox, willBytes: bytes };
      Object.assign(counters, figures);
      counters.willEnds.full = full;
      if (commits === this.#commits) this.#mayHave = kept > 0;
    } catch (error) {
      onFault(error);
    }
  }
}
