/**
 * WillPublishing: a will as the EVENT that it becomes at the broker (docs/amqp.md).
 * From: wills.ts, from the store's outbox.  To: the publisher.
 * Bound: the publisher's; one that queues go on to refuse is dropped in the end, and counted.
 */
import type { PublishOptions } from '../../broker/amqp.ts';
import type { Publishing } from '../../broker/publisher.ts';
import { routingKey } from '../../broker/topology.ts';
import type { WillEvent } from '../store/willRows.ts';

const MS_PER_SECOND = 1_000;

/** The headers of the one that is being published: always one object, as in the uplink. */
const headers = {
  device: '',
  connection: '',
  topic: '',
  receivedAt: 0,
  will: '',
  resent: undefined as true | undefined,
};

export class WillPublishing implements Publishing {
  readonly kind = 'will';
  readonly exchange: string;
  readonly #event: WillEvent;
  readonly onConfirm: () => void;
  readonly onDrop: () => void;

  constructor(exchange: string, event: WillEvent, onConfirm: () => void, onDrop: () => void) {
    this.exchange = exchange;
    this.#event = event;
    this.onConfirm = onConfirm;
    this.onDrop = onDrop;
  }

  get routingKey(): string {
    return routingKey(this.#event.device, this.#event.topic);
  }

  get body(): Buffer {
    return this.#event.payload;
  }

  isWanted(): boolean {
    return true;
  }

  properties(isResend: boolean): PublishOptions {
    const { device, connection, topic, reason, at } = this.#event;
    Object.assign(headers, { device, connection, topic, receivedAt: at, will: reason });
    headers.resent = isResend || undefined;
    return {
      appId: 'owsla',
      type: 'event',
      contentType: 'application/octet-stream',
      messageId: `${connection}:will`,
      timestamp: Math.floor(at / MS_PER_SECOND),
      persistent: true,
      headers,
    };
  }

  onNack(): 'again' {
    return 'again';
  }
}
