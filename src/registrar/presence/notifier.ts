/**
 * Notifier: the presence outbox to the broker; what is confirmed may leave the outbox.
 * From: events as the recorder has stored them, or read back from the store.
 * To: the publisher, in order (outboxReader.ts); and `settledTo`, which the recorder's next
 * transaction deletes to.
 * Bound: that of outboxReader.ts.
 */
import type { Limits } from '../../base/limits.ts';
import { bump, type PresenceCounters } from '../../base/metrics.ts';
import { noTrace, type Trace } from '../../base/trace.ts';
import type { PublishOptions } from '../../broker/amqp.ts';
import type { Publisher, PublisherCounts, Publishing } from '../../broker/publisher.ts';
import { presenceKey } from '../../broker/topology.ts';
import { OutboxReader } from '../store/outboxReader.ts';
import type { Opened, OutboxEvent, Store } from '../store/store.ts';

export interface NotifierOptions {
  readonly store: Pick<Store, 'outbox'>;
  readonly publisher: Pick<Publisher, 'publish' | 'isFull'>;
  readonly exchange: string;
  readonly limits: Limits;
  readonly trace: Trace;
  /** The store can be trusted, as far as is known. */
  readonly mayRead: () => boolean;
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
  readonly #reader: OutboxReader<OutboxEvent, Publishing>;

  constructor(options: NotifierOptions) {
    const { store, publisher, exchange, limits, trace, mayRead, onFault } = options;
    this.#reader = new OutboxReader({
      read: (after, limit) => store.outbox(after, limit),
      pageMax: limits.presenceBatchMax,
      publisher,
      publishing: (event, onConfirm, onDrop) =>
        new EventPublishing(exchange, event, onConfirm, onDrop),
      onPublish: (event) => {
        // tla: Presence!Publish
        if (trace !== noTrace) trace('Publish', wordOf(event));
      },
      onConfirm: (event) => {
        // tla: Presence!Confirm
        if (trace !== noTrace) trace('Confirm', wordOf(event));
      },
      ...{ mayRead, onFault },
    });
  }

  /** All events up to this id are at the broker. */
  settledTo(): number {
    return this.#reader.settledTo();
  }

  /** The store was opened: what an earlier process left is published first. */
  onOpen({ lastEvent }: Opened): void {
    this.#reader.recordedTo(lastEvent);
  }

  onCommit(events: readonly OutboxEvent[]): void {
    this.#reader.onCommit(events);
  }

  /** The publisher has room: continue with events that only the store has. Never rejects. */
  makeRoom(): Promise<void> {
    return this.#reader.makeRoom();
  }
}
