/**
 * Notifier: the presence outbox to the broker; what is confirmed may leave the outbox.
 * From: events as the recorder has stored them, or read back from the store.
 * To: the publisher, in order; and `settledTo`, which the recorder's next transaction deletes to.
 * Bound: the publisher's window. While it is full events stay in the store only, and are read from
 * there when it has room.
 */
import type { Limits } from '../../base/limits.ts';
import { bump, type PresenceCounters } from '../../base/metrics.ts';
import { noTrace, type Trace } from '../../base/trace.ts';
import type { PublishOptions } from '../../broker/amqp.ts';
import type { Publisher, PublisherCounts, Publishing } from '../../broker/publisher.ts';
import { presenceKey } from '../../broker/topology.ts';
import type { Opened, OutboxEvent, Store } from '../store/store.ts';

export interface NotifierOptions {
  readonly store: Pick<Store, 'outbox'>;
  readonly publisher: Pick<Publisher, 'publish' | 'isFull'>;
  readonly exchange: string;
  readonly limits: Limits;
  readonly trace: Trace;
  /** Reading the outbox failed; `makeRoom` tries again. */
  readonly onFault: (error: unknown) => void;
}

/** The headers of the event that is being published: always one object, as in the uplink. */
const headers: { device: string; resent: true | undefined } = { device: '', resent: undefined };

/** What the publisher of events counts. */
export function eventCounts(counters: PresenceCounters): PublisherCounts {
  return {
    sent: () => {
      counters.publishes += 1;
    },
    answered: (isConfirm) => {
      if (isConfirm) counters.confirms += 1;
    },
    dropped: (reason) => bump(counters.drops, reason),
  };
}

class EventPublishing implements Publishing {
  readonly kind = 'event';
  readonly exchange: string;
  readonly routingKey: string;
  readonly body: Buffer;
  readonly #event: OutboxEvent;
  readonly onConfirm: () => void;
  readonly onDrop: () => void;

  constructor(exchange: string, event: OutboxEvent, onConfirm: () => void, onDrop: () => void) {
    this.exchange = exchange;
    this.routingKey = presenceKey(event.device, event.online);
    this.body = Buffer.from(event.body);
    this.#event = event;
    this.onConfirm = onConfirm;
    this.onDrop = onDrop;
  }

  isWanted(): boolean {
    return true;
  }

  properties(isResend: boolean): PublishOptions {
    headers.device = this.#event.device;
    headers.resent = isResend || undefined;
    return {
      appId: 'owsla',
      type: 'presence',
      contentType: 'application/json',
      persistent: true,
      headers,
    };
  }

  onNack(): 'again' {
    return 'again';
  }
}

/** The fields of an event in a trace. */
function wordOf({ body }: OutboxEvent): { device: string; seq: number } {
  const { device, seq } = JSON.parse(body) as { device: string; seq: number };
  return { device, seq };
}

export class Notifier {
  readonly #options: NotifierOptions;
  /** Events handed to the publisher, by id; in order, as a Set keeps it. */
  readonly #unconfirmed = new Set<number>();
  /** All up to here have been handed to the publisher, or are in no outbox any more. */
  #published = 0;
  /** The last event that is recorded. */
  #recorded = 0;
  #isReading = false;

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  /** All events up to this id are at the broker. */
  settledTo(): number {
    for (const oldest of this.#unconfirmed) return oldest - 1;
    return this.#published;
  }

  /** The store was opened: what an earlier process left is published first. */
  onOpen({ lastEvent }: Opened): void {
    this.#recorded = lastEvent;
    void this.makeRoom();
  }

  onCommit(events: readonly OutboxEvent[]): void {
    const isBehind = this.#published < this.#recorded;
    this.#recorded = events.at(-1)?.id ?? this.#recorded;
    if (isBehind) return;
    for (const event of events) {
      if (this.#options.publisher.isFull()) return;
      this.#publish(event);
    }
  }

  #publish(event: OutboxEvent): void {
    const { publisher, exchange, trace } = this.#options;
    this.#published = event.id;
    this.#unconfirmed.add(event.id);
    // tla: Presence!Publish
    if (trace !== noTrace) trace('Publish', wordOf(event));
    const onConfirm = () => this.#onConfirm(event);
    // A subscriber's queue is full or failed: the others have got this event, and later ones.
    const onDrop = () => void this.#unconfirmed.delete(event.id);
    publisher.publish(new EventPublishing(exchange, event, onConfirm, onDrop));
  }

  #onConfirm(event: OutboxEvent): void {
    const { trace } = this.#options;
    // tla: Presence!Confirm
    if (trace !== noTrace) trace('Confirm', wordOf(event));
    this.#unconfirmed.delete(event.id);
  }

  /** The publisher has room: continue with events that only the store has. Never rejects. */
  async makeRoom(): Promise<void> {
    if (this.#isReading || this.#published >= this.#recorded) return;
    const { publisher, store, limits } = this.#options;
    this.#isReading = true;
    try {
      while (this.#published < this.#recorded && !publisher.isFull()) {
        // The store answers in order, so the page holds all that was recorded up to now.
        const recorded = this.#recorded;
        const page = await store.outbox(this.#published, limits.presenceBatchMax);
        for (const event of page) {
          if (publisher.isFull()) return;
          this.#publish(event);
        }
        // Ids that are in no page have been compacted away.
        const isLast = page.length < limits.presenceBatchMax;
        if (isLast) this.#published = Math.max(this.#published, recorded);
      }
    } catch (error) {
      this.#options.onFault(error);
    } finally {
      this.#isReading = false;
    }
  }
}
