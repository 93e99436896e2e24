/**
 * Publisher: messages to the broker, each kept until the broker has confirmed it.
 * From: route/uplink.ts.  To: one confirm channel; it survives the loss of that channel.
 * Bound: `publishWindowMax` messages and `publishWindowBytes` payload bytes wait for confirms,
 * sent or not. At either, `isFull` holds and devices are no longer read. amqplib's own buffer
 * only ever holds what is in this window.
 */
import { type ConfirmChannel, IllegalOperationError, type Options } from 'amqplib';
import type { Limits } from '../limits.ts';
import { bump, type Counters } from '../observe/metrics.ts';

/** One message on its way to the broker. The publisher owns it until `onConfirm` or `onNack`. */
export interface Publishing {
  readonly kind: 'event' | 'request';
  readonly exchange: string;
  readonly routingKey: string;
  readonly body: Buffer;
  /** The properties of this attempt, or `undefined` when it is no longer wanted. */
  properties(isResend: boolean): Options.Publish | undefined;
  /** The broker has it. */
  onConfirm(): void;
  /** The broker refused it: publish it again, or give it up? */
  onNack(): 'again' | 'drop';
}

interface Slot {
  readonly publishing: Publishing;
  wasSent: boolean;
}

export interface PublisherOptions {
  readonly limits: Limits;
  readonly counters: Counters;
  /** `isFull` no longer holds, or may no longer hold. */
  readonly onRoom: () => void;
  /** A mandatory message came back: no queue is bound for it. */
  readonly onReturn: (messageId: string) => void;
}

export class Publisher {
  readonly #options: PublisherOptions;
  #channel: ConfirmChannel | undefined;
  /** Sent on the present channel, by delivery tag. */
  readonly #window = new Map<number, Slot>();
  /** Not sent on the present channel: the broker is away or blocks, or nacked it. */
  #backlog: Slot[] = [];
  #isBlocked = false;
  #bytes = 0;
  #tag = 0;
  /** Every tag below is settled. */
  #lowest = 1;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Messages not yet confirmed. */
  get size(): number {
    return this.#window.size + this.#backlog.length;
  }

  isFull(): boolean {
    const { publishWindowMax, publishWindowBytes } = this.#options.limits;
    return this.size >= publishWindowMax || this.#bytes >= publishWindowBytes;
  }

  /** Take over `publishing`. Callers ask `isFull` first. */
  publish(publishing: Publishing): void {
    const slot = { publishing, wasSent: false };
    this.#bytes += publishing.body.length;
    if (this.#channel === undefined || this.#isBlocked) this.#backlog.push(slot);
    else this.#send(this.#channel, slot);
    this.#count();
  }

  /** Use a new channel: what the last one left unconfirmed goes first. */
  open(channel: ConfirmChannel): void {
    this.#channel = channel;
    this.#tag = 0;
    this.#lowest = 1;
    channel.on('ack', (fields) => {
      if (channel === this.#channel) this.#onAnswer(fields, true);
    });
    channel.on('nack', (fields) => {
      if (channel === this.#channel) this.#onAnswer(fields, false);
    });
    channel.on('return', (message) => {
      this.#options.counters.returns += 1;
      const { messageId } = message.properties;
      if (typeof messageId === 'string') this.#options.onReturn(messageId);
    });
    this.#sendBacklog();
  }

  /** The channel is gone; whatever it did not confirm will be sent again. */
  down(): void {
    this.#channel = undefined;
    this.#backlog = [...this.#window.values(), ...this.#backlog];
    this.#window.clear();
  }

  /**
   * The broker takes nothing for now (memory or disk alarm), or takes it again. What would sit in
   * TCP buffers until then stays here instead, so that an expired REQUEST is never published.
   */
  block(isBlocked: boolean): void {
    this.#isBlocked = isBlocked;
    this.#sendBacklog();
  }

  #sendBacklog(): void {
    if (this.#channel === undefined || this.#isBlocked) return;
    const backlog = this.#backlog;
    this.#backlog = [];
    for (const slot of backlog) {
      if (this.#channel) this.#send(this.#channel, slot);
      else this.#backlog.push(slot);
    }
    this.#settled();
  }

  #send(channel: ConfirmChannel, slot: Slot): void {
    const { publishing, wasSent } = slot;
    const { counters } = this.#options;
    const properties = publishing.properties(wasSent);
    if (properties === undefined) {
      this.#bytes -= publishing.body.length;
      return;
    }
    this.#tag += 1;
    this.#window.set(this.#tag, slot);
    try {
      channel.publish(publishing.exchange, publishing.routingKey, publishing.body, properties);
    } catch (error) {
      // The channel is closing and takes nothing; this message waits for the next one.
      if (!(error instanceof IllegalOperationError)) throw error;
      this.down();
      return;
    }
    slot.wasSent = true;
    bump(counters.publishes, publishing.kind);
    if (wasSent) counters.resends += 1;
  }

  #onAnswer(fields: { deliveryTag: number; multiple: boolean }, isConfirm: boolean): void {
    const { deliveryTag, multiple } = fields;
    const first = multiple ? this.#lowest : deliveryTag;
    for (let tag = first; tag <= deliveryTag; tag += 1) this.#settle(tag, isConfirm);
    while (this.#lowest <= this.#tag && !this.#window.has(this.#lowest)) this.#lowest += 1;
    this.#settled();
  }

  #settle(tag: number, isConfirm: boolean): void {
    const slot = this.#window.get(tag);
    if (slot === undefined) return;
    this.#window.delete(tag);
    const { publishing } = slot;
    const { counters } = this.#options;
    if (isConfirm) counters.confirms += 1;
    else counters.nacks += 1;
    if (!isConfirm && publishing.onNack() === 'again') {
      this.#backlog.push(slot);
      this.#retryLater();
      return;
    }
    this.#bytes -= publishing.body.length;
    if (isConfirm) publishing.onConfirm();
  }

  #settled(): void {
    this.#count();
    if (!this.isFull()) this.#options.onRoom();
  }

  #count(): void {
    const { counters } = this.#options;
    counters.confirmsWaiting = this.size;
    counters.confirmBytesWaiting = this.#bytes;
  }

  #retryLater(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.#sendBacklog();
    }, this.#options.limits.nackRetryMs);
  }

  /** Stop; what is unconfirmed stays so. */
  close(): void {
    clearTimeout(this.#retry);
    this.#channel = undefined;
  }
}
