/**
 * A scripted AMQP channel: records what is published, declared and acked; speaks as a broker when
 * the test says so.
 * From: Publisher and Consumer, by the calls they make of amqplib.  To: the test's assertions.
 * Bound: none; it keeps everything.
 */
import { EventEmitter } from 'node:events';
import { IllegalOperationError } from 'amqplib';
import type {
  AmqpMessage,
  ConsumeChannel,
  PublishChannel,
  PublishOptions,
} from '../../../src/broker/amqp.ts';
import type { Headers } from '../../../src/broker/content.ts';
import { amqpMessage } from './amqpMessage.ts';

export interface Published {
  readonly exchange: string;
  readonly routingKey: string;
  readonly body: string;
  readonly options: PublishOptions;
}

export interface Delivered {
  readonly correlationId?: string | undefined;
  readonly headers?: Headers;
  readonly body?: string | Buffer;
}

/** A delivery as amqplib makes it. */
export function delivery(deliveryTag: number, given: Delivered): AmqpMessage {
  const { correlationId, headers, body = '' } = given;
  return amqpMessage({ deliveryTag, content: body, properties: { correlationId, headers } });
}

export class FakeChannel extends EventEmitter implements PublishChannel, ConsumeChannel {
  readonly published: Published[] = [];
  /** `[deliveryTag, multiple]`. */
  readonly acks: [number, boolean][] = [];
  /** What was cancelled and deleted, in order. */
  readonly ended: [string, string][] = [];
  prefetched = 0;
  queue = '';
  isClosing = false;
  /** From so many publishes on, the write buffer is full; the test emits 'drain'. */
  chokesAt = Number.POSITIVE_INFINITY;
  #onMessage: ((message: AmqpMessage | null) => void) | undefined;
  #tag = 0;

  #check(): void {
    // As amqplib: a channel or connection that is closing takes nothing, and 'close' follows.
    if (this.isClosing) throw new IllegalOperationError('Channel closing', '');
  }

  publish(
    exchange: string,
    routingKey: string,
    body: Buffer,
    options: PublishOptions = {},
  ): boolean {
    this.#check();
    // The headers as they are now: amqplib encodes them at once, those that are defined.
    const defined = Object.entries(options.headers ?? {}).filter(
      ([, value]) => value !== undefined,
    );
    const headers = Object.fromEntries(defined);
    const copy = { ...options, headers };
    this.published.push({ exchange, routingKey, body: body.toString(), options: copy });
    return this.published.length < this.chokesAt;
  }

  async prefetch(count: number): Promise<void> {
    this.prefetched = count;
  }

  async consume(
    queue: string,
    onMessage: (message: AmqpMessage | null) => void,
  ): Promise<{ consumerTag: string }> {
    this.queue = queue;
    this.#onMessage = onMessage;
    return { consumerTag: 'tag-1' };
  }

  async checkQueue(): Promise<{ messageCount: number }> {
    return { messageCount: 0 };
  }

  async cancel(consumerTag: string): Promise<void> {
    this.#check();
    this.ended.push(['cancel', consumerTag]);
  }

  async deleteQueue(queue: string): Promise<void> {
    this.#check();
    this.ended.push(['deleteQueue', queue]);
  }

  ack(message: AmqpMessage, multiple = false): void {
    this.#check();
    this.acks.push([message.fields.deliveryTag, multiple]);
  }

  // The broker's part.

  confirm(deliveryTag: number, multiple = false): void {
    this.emit('ack', { deliveryTag, multiple });
  }

  nack(deliveryTag: number, multiple = false): void {
    this.emit('nack', { deliveryTag, multiple });
  }

  /** Hand a mandatory message back. */
  giveBack(index: number): void {
    const { exchange, routingKey, options } = this.published[index] as Published;
    this.emit('return', { fields: { exchange, routingKey }, properties: options });
  }

  deliver(...given: Delivered[]): void {
    for (const one of given) {
      this.#tag += 1;
      this.#onMessage?.(delivery(this.#tag, one));
    }
  }

  /** A message with properties of every kind. */
  deliverRaw(message: AmqpMessage): void {
    this.#onMessage?.(message);
  }

  cancelByBroker(): void {
    this.#onMessage?.(null);
  }

  bodies(): string[] {
    return this.published.map(({ body }) => body);
  }
}
