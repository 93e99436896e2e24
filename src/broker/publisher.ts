/**
 * Publisher: messages to the broker, each kept until the broker has confirmed it.
 * From: route/uplink.ts.  To: one confirm channel; it survives the loss of that channel.
 * Bound: `publishWindowMax` messages and `publishWindowBytes` payload bytes wait for confirms,
 * sent or not. At either, `isFull` holds and devices are no longer read. What a broker that hangs
 * (`confirmQuietMs`) or amqplib's own buffer would hold up waits here, and can be withdrawn.
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
  /** False: it need not be published again. Such a one is withdrawn, if it was not sent. */
  isWanted(): boolean;
  /**
   * The properties of this attempt, or `undefined` when it is no longer wanted. They are good until
   * another message is asked for its own: headers may be one object for all.
   */
  properties(isResend: boolean): Options.Publish | undefined;
  /** The broker has it. */
  onConfirm(): void;
  /** The broker refused it: publish it again, or give it up? */
  onNack(): 'again' | 'drop';
}

export interface PublisherOptions {
  readonly limits: Limits;
  readonly counters: Counters;
  /** Monotonic ms. */
  readonly now?: () => number;
  /** `isFull` no longer holds, or may no longer hold. */
  readonly onRoom: () => void;
  /** A mandatory message came back: no queue is bound for it. */
  readonly onReturn: (messageId: string) => void;
}

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #now: () => number;
  #channel: ConfirmChannel | undefined;
  /** Sent on the present channel, by delivery tag. */
  readonly #window = new Map<number, Publishing>();
  /**
   * Not sent on the present channel (the broker is away, blocks, is silent or takes no bytes), in
   * order; each with whether an earlier attempt may have reached the broker.
   */
  #backlog = new Map<Publishing, boolean>();
  /** Refused by the broker, and published again after a pause. */
  #nacked: Publishing[] = [];
  #isBlocked = false;
  /** amqplib's write buffer is full; its 'drain' ends that. */
  #isChoked = false;
  /** The last confirm or nack; or, later, the time of the only message that waits for one. */
  #heardAt = 0;
  #bytes = 0;
  #tag = 0;
  /** Every tag below is settled. */
  #lowest = 1;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Messages not yet confirmed. */
  get size(): number {
    return this.#window.size + this.#backlog.size + this.#nacked.length;
  }

  isFull(): boolean {
    const { publishWindowMax, publishWindowBytes } = this.#options.limits;
    return this.size >= publishWindowMax || this.#bytes >= publishWindowBytes;
  }

  /** The channel that takes messages now, if any does. */
  get #writable(): ConfirmChannel | undefined {
    return this.#isBlocked || this.#isChoked || this.#isQuiet() ? undefined : this.#channel;
  }

  /**
   * The broker owes an answer and gives none. Should it hang, it will handle what TCP holds for it
   * when it wakes, be it hours later: no more of that. Its next answer, or its loss, ends this.
   */
  #isQuiet(): boolean {
    if (this.#window.size === 0) return false;
    return this.#now() - this.#heardAt > this.#options.limits.confirmQuietMs;
  }

  /** Take over `publishing`. Callers ask `isFull` first. */
  publish(publishing: Publishing): void {
    this.#bytes += publishing.body.length;
    const channel = this.#writable;
    if (channel === undefined) this.#backlog.set(publishing, false);
    else this.#send(channel, publishing, false);
    this.#count();
  }

  /** It is no longer wanted: while it is not on its way to the broker, it gives up its place. */
  withdraw(publishing: Publishing): void {
    if (!this.#backlog.delete(publishing)) return;
    this.#bytes -= publishing.body.length;
    this.#settled();
  }

  /** Use a new channel: what the last one left unconfirmed goes first. */
  open(channel: ConfirmChannel): void {
    this.#channel = channel;
    this.#isChoked = false;
    this.#tag = 0;
    this.#lowest = 1;
    channel.on('ack', (fields) => {
      if (channel === this.#channel) this.#onAnswer(fields, true);
    });
    channel.on('nack', (fields) => {
      if (channel === this.#channel) this.#onAnswer(fields, false);
    });
    channel.on('drain', () => {
      if (channel !== this.#channel) return;
      this.#isChoked = false;
      this.#sendBacklog();
    });
    channel.on('return', (message) => {
      this.#options.counters.returns += 1;
      const { messageId } = message.properties;
      if (typeof messageId === 'string') this.#options.onReturn(messageId);
    });
    this.#sendBacklog();
  }

  /** The channel is gone; whatever it did not confirm and is still wanted will be sent again. */
  down(): void {
    this.#channel = undefined;
    const unsent = this.#backlog;
    this.#backlog = new Map();
    for (const publishing of this.#window.values()) {
      if (publishing.isWanted()) this.#backlog.set(publishing, true);
      else this.#bytes -= publishing.body.length;
    }
    for (const [publishing, wasSent] of unsent) this.#backlog.set(publishing, wasSent);
    this.#window.clear();
    this.#settled();
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
    for (const [publishing, wasSent] of this.#backlog) {
      const channel = this.#writable;
      if (channel === undefined) break;
      this.#backlog.delete(publishing);
      this.#send(channel, publishing, wasSent);
    }
    this.#settled();
  }

  #send(channel: ConfirmChannel, publishing: Publishing, wasSent: boolean): void {
    const { exchange, routingKey, body, kind } = publishing;
    const { counters } = this.#options;
    const properties = publishing.properties(wasSent);
    if (properties === undefined) {
      this.#bytes -= body.length;
      return;
    }
    try {
      this.#isChoked = !channel.publish(exchange, routingKey, body, properties);
    } catch (error) {
      // The channel is closing and takes nothing; this message waits for the next one.
      if (!(error instanceof IllegalOperationError)) throw error;
      this.#backlog = new Map([[publishing, wasSent], ...this.#backlog]);
      this.down();
      return;
    }
    if (this.#window.size === 0) this.#heardAt = this.#now();
    this.#tag += 1;
    this.#window.set(this.#tag, publishing);
    bump(counters.publishes, kind);
    if (wasSent) counters.resends += 1;
  }

  #onAnswer(fields: { deliveryTag: number; multiple: boolean }, isConfirm: boolean): void {
    const { deliveryTag, multiple } = fields;
    this.#heardAt = this.#now();
    const first = multiple ? this.#lowest : deliveryTag;
    for (let tag = first; tag <= deliveryTag; tag += 1) this.#settle(tag, isConfirm);
    while (this.#lowest <= this.#tag && !this.#window.has(this.#lowest)) this.#lowest += 1;
    this.#sendBacklog();
  }

  #settle(tag: number, isConfirm: boolean): void {
    const publishing = this.#window.get(tag);
    if (publishing === undefined) return;
    this.#window.delete(tag);
    const { counters } = this.#options;
    if (isConfirm) counters.confirms += 1;
    else counters.nacks += 1;
    if (!isConfirm && publishing.onNack() === 'again') {
      this.#nacked.push(publishing);
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
      for (const publishing of this.#nacked) this.#backlog.set(publishing, true);
      this.#nacked = [];
      this.#sendBacklog();
    }, this.#options.limits.nackRetryMs);
  }

  /** Stop; what is unconfirmed stays so. */
  close(): void {
    clearTimeout(this.#retry);
    this.#channel = undefined;
  }
}
