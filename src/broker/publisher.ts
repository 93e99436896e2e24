/**
 * Publisher: messages to the broker, each kept until the broker has confirmed it.
 * From: acceptor/route/uplink.ts, the registrar's parts.  To: one channel, whose loss it survives;
 * with confirms, or one on which the broker is asked (provenChannel.ts): that is the same to it.
 * Bound: `publishWindowMax` messages and `publishWindowBytes` payload bytes wait for confirms,
 * sent or not, while the broker is unavailable; while it is up, as many as its pace allows
 * (pace.ts). At either, `isFull` holds and devices are no longer read. What would be stuck in
 * a broker that hangs (`confirmQuietMs`) or in amqplib's buffer waits here and can be withdrawn.
 * A nacked message is retried a bounded number of times (refused.ts). After the broker has closed
 * the channel because of a message, each message that was on it is sent alone; one for which the
 * channel is closed ALONE_TRIES times more is dropped.
 */
import { ticks } from '../base/histogram.ts';
import type { Limits } from '../base/limits.ts';
import type { DropReason } from '../base/metrics.ts';
import { isClosing, type PublishChannel, type PublishOptions } from './amqp.ts';
import { Pace } from './pace.ts';
import { Refused } from './refused.ts';

/** One message on its way to the broker. The publisher owns it until `onConfirm` or `onNack`. */
export interface Publishing {
  /** What it is counted as. */
  readonly kind: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly body: Buffer;
  /** False: it need not be published any more, and is withdrawn if it was not sent. */
  isWanted(): boolean;
  /**
   * The properties of this attempt, or `undefined` when it is no longer wanted. They are valid
   * until another message is asked for its own: headers may be one object for all.
   */
  properties(isResend: boolean): PublishOptions | undefined;
  /** When it was first sent, in the ticks of histogram.ts: 0 before. Undefined: not timed. */
  sentAt?: number;
  /** The publisher's own: its delivery tag, if it can be `proven`. */
  tag?: number;
  /** The broker has it. */
  onConfirm(): void;
  /** The broker refused it: publish it again, or drop it? */
  onNack(): 'again' | 'drop';
  /** It is dropped, and no longer held here. */
  onDrop(reason: DropReason): void;
}

/** What is to be counted; each user counts only what it needs. */
export interface PublisherCounts {
  sent?(kind: string, isAgain: boolean): void;
  answered?(isConfirm: boolean): void;
  /** One that is timed was confirmed: in ticks, when it was sent, and now. */
  timed?(sentAt: number, now: number): void;
  dropped?(reason: DropReason): void;
  /** A mandatory message came back. */
  returned?(): void;
  /** Change in the messages and payload bytes that wait for a confirm. */
  waiting?(messages: number, bytes: number): void;
}

export interface PublisherOptions {
  readonly limits: Limits;
  readonly counts?: PublisherCounts;
  /** Messages that may be in flight before the broker's pace counts: see pace.ts. */
  readonly underWayMin?: number;
  /** Monotonic ms. */
  readonly now?: () => number;
  /** `isFull` no longer holds, or may no longer hold. */
  readonly onRoom: () => void;
  /** A mandatory message came back: no queue is bound. */
  readonly onReturn: (messageId: string) => void;
}

/** How often a message may have been the only one under way when the channel was closed. */
const ALONE_TRIES = 2;
/** Messages that may wait here while the broker takes some: the next turn has something to send. */
const AHEAD = 32;

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #counts: PublisherCounts;
  readonly #pace: Pace;
  readonly #refused: Refused;
  readonly #now: () => number;
  #channel: PublishChannel | undefined;
  /** Sent on the present channel, by delivery tag. */
  readonly #window = new Map<number, Publishing>();
  /**
   * Not sent on the present channel (the broker is away, blocks, is silent or takes no bytes), in
   * order; each with whether an earlier attempt may have reached the broker.
   */
  #backlog = new Map<Publishing, boolean>();
  /**
   * Were under way when the broker closed the channel for one of them; each with how often it was
   * alone then. They go one at a time, and nothing else goes meanwhile.
   */
  readonly #suspects = new Map<Publishing, number>();
  /** The suspect that is under way. */
  #alone: { readonly publishing: Publishing; readonly tries: number } | undefined;
  #isBlocked = false;
  /** amqplib's write buffer is full; its 'drain' ends that. */
  #isChoked = false;
  /** The last confirm or nack; or, later, the time of the only message that waits for one. */
  #heardAt = 0;
  #bytes = 0;
  /** What was counted last. */
  #counted = { size: 0, bytes: 0 };
  #tag = 0;
  /** Every tag below is settled. */
  #lowest = 1;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#counts = options.counts ?? {};
    this.#now = options.now ?? (() => performance.now());
    this.#pace = new Pace(options.limits.publishWindowMax, options.underWayMin);
    this.#refused = new Refused(options.limits);
  }

  /** Messages not yet confirmed. */
  get size(): number {
    return this.#window.size + this.#backlog.size + this.#suspects.size + this.#refused.waiting;
  }

  isFull(): boolean {
    const { publishWindowMax, publishWindowBytes } = this.#options.limits;
    if (this.size >= publishWindowMax || this.#bytes >= publishWindowBytes) return true;
    if (this.#backlog.size < AHEAD) return false;
    const isTaking = !this.#isBlocked && !this.#isChoked && !this.#isQuiet();
    return isTaking && this.#channel !== undefined;
  }

  /** The channel that takes messages now, if any does. */
  get #writable(): PublishChannel | undefined {
    if (this.#isBlocked || this.#isChoked || this.#isQuiet()) return undefined;
    return this.#window.size < this.#pace.limit ? this.#channel : undefined;
  }

  /** For how long something has waited, and the broker has said nothing, in ms. */
  get owedMs(): number {
    const isWaiting = this.#window.size + this.#backlog.size + this.#suspects.size > 0;
    return isWaiting ? this.#now() - this.#heardAt : 0;
  }

  /** It takes longer to confirm than it does when it has little to do. */
  get isSlow(): boolean {
    return this.#pace.isSlow(this.#now());
  }

  get #isSuspecting(): boolean {
    return this.#alone !== undefined || this.#suspects.size > 0;
  }

  /**
   * The broker owes an answer and gives none. If it hangs, it will handle what TCP holds for it
   * when it continues, maybe hours later: send no more. Its next answer, or its loss, ends this.
   */
  #isQuiet(): boolean {
    if (this.#window.size === 0) return false;
    return this.#now() - this.#heardAt > this.#options.limits.confirmQuietMs;
  }

  /** Take over `publishing`. Callers ask `isFull` first. */
  publish(publishing: Publishing): void {
    this.#bytes += publishing.body.length;
    if (this.size === 0) this.#heardAt = this.#now();
    // In order: what waits goes first.
    const isNext = this.#backlog.size === 0 && !this.#isSuspecting;
    const channel = isNext ? this.#writable : undefined;
    if (channel === undefined) this.#backlog.set(publishing, false);
    else this.#send(channel, publishing, false);
    this.#count();
  }

  /** It is no longer wanted: while it is not on its way to the broker, it gives up its place. */
  withdraw(publishing: Publishing): void {
    if (!this.#backlog.delete(publishing) && !this.#suspects.delete(publishing)) return;
    this.#refused.delete(publishing);
    this.#bytes -= publishing.body.length;
    this.#settled();
  }

  /** Its answer is here, so the broker had it: it waits for no other proof. */
  proven(publishing: Publishing): void {
    const { tag = 0 } = publishing;
    if (this.#window.get(tag) !== publishing) return;
    // Not `#heardAt`: another connection said so.
    this.#settle(tag, true, this.#now());
    this.#advance();
    this.#sendBacklog();
  }

  /** Use a new channel: what the last one left unconfirmed goes first. */
  open(channel: PublishChannel): void {
    this.#channel = channel;
    this.#isChoked = false;
    this.#tag = 0;
    this.#lowest = 1;
    this.#pace.begin();
    channel.on('ack', (fields) => {
      if (channel === this.#channel) this.#onAnswer(fields, true);
    });
    channel.on('nack', (fields) => {
      if (channel === this.#channel) this.#onAnswer(fields, false);
    });
    channel.on('asked', ({ deliveryTag }) => this.#pace.sent(deliveryTag, this.#now()));
    channel.on('drain', () => {
      if (channel !== this.#channel) return;
      this.#isChoked = false;
      this.#sendBacklog();
    });
    channel.on('return', (message) => {
      this.#counts.returned?.();
      const { messageId } = message.properties;
      if (typeof messageId === 'string') this.#options.onReturn(messageId);
    });
    this.#sendBacklog();
  }

  /**
   * The channel is gone; whatever it did not confirm and is still wanted will be sent again.
   * `isClosedForCause`: the broker closed it, for something that was sent on it.
   */
  down(isClosedForCause = false): void {
    this.#channel = undefined;
    const unsent = this.#backlog;
    this.#backlog = new Map();
    for (const publishing of this.#window.values()) this.#lost(publishing, isClosedForCause);
    for (const [publishing, wasSent] of unsent) this.#backlog.set(publishing, wasSent);
    this.#window.clear();
    this.#alone = undefined;
    this.#settled();
  }

  /** It was under way when the channel was lost. */
  #lost(publishing: Publishing, isClosedForCause: boolean): void {
    const isAlone = publishing === this.#alone?.publishing;
    const tries = isAlone ? (this.#alone?.tries ?? 0) + (isClosedForCause ? 1 : 0) : 0;
    if (!publishing.isWanted()) this.#forget(publishing);
    else if (tries === ALONE_TRIES) this.#drop(publishing, 'poisonous');
    else if (isAlone || isClosedForCause) this.#suspects.set(publishing, tries);
    else this.#backlog.set(publishing, true);
  }

  #forget(publishing: Publishing): void {
    this.#refused.delete(publishing);
    this.#bytes -= publishing.body.length;
  }

  #drop(publishing: Publishing, reason: DropReason): void {
    this.#forget(publishing);
    this.#counts.dropped?.(reason);
    publishing.onDrop(reason);
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
    this.#sendSuspects();
    this.#sendRefused();
    for (const [publishing, wasSent] of this.#backlog) {
      const channel = this.#isSuspecting ? undefined : this.#writable;
      if (channel === undefined) break;
      this.#backlog.delete(publishing);
      this.#send(channel, publishing, wasSent);
    }
    this.#settled();
  }

  /** Those that were nacked and are due, as far as their share goes. */
  #sendRefused(): void {
    for (;;) {
      const channel = this.#isSuspecting ? undefined : this.#writable;
      const publishing = channel && this.#refused.take(this.#pace.limit);
      if (channel === undefined || publishing === undefined) return;
      this.#send(channel, publishing, true);
    }
  }

  /** The next one that is still wanted. */
  #sendSuspects(): void {
    for (const [publishing, tries] of this.#suspects) {
      const channel = this.#writable;
      if (channel === undefined || this.#alone !== undefined) return;
      this.#suspects.delete(publishing);
      this.#alone = { publishing, tries };
      this.#send(channel, publishing, true);
      if (this.#window.size === 0) this.#alone = undefined;
      else channel.prove?.();
    }
  }

  #send(channel: PublishChannel, publishing: Publishing, wasSent: boolean): void {
    const { exchange, routingKey, body, kind } = publishing;
    const properties = publishing.properties(wasSent);
    if (properties === undefined) {
      this.#forget(publishing);
      return;
    }
    try {
      this.#isChoked = !channel.publish(exchange, routingKey, body, properties);
    } catch (error) {
      this.#notSent(error, publishing, wasSent);
      return;
    }
    const now = this.#now();
    if (publishing.sentAt === 0) publishing.sentAt = ticks(now);
    if (this.#window.size === 0) this.#heardAt = now;
    this.#tag += 1;
    this.#window.set(this.#tag, publishing);
    // Without confirms, how long the broker takes is how long it takes to answer a question.
    if (channel.prove === undefined) this.#pace.sent(this.#tag, now);
    else publishing.tag = this.#tag;
    this.#counts.sent?.(kind, wasSent);
  }

  #notSent(error: unknown, publishing: Publishing, wasSent: boolean): void {
    if (!isClosing(error)) {
      // It does not fit into a frame's fields: that costs this message, and nothing else.
      this.#drop(publishing, 'unsendable');
      return;
    }
    // The channel is closing and takes nothing; this message waits for the next one.
    if (this.#alone?.publishing === publishing) this.#suspects.set(publishing, this.#alone.tries);
    else this.#backlog = new Map([[publishing, wasSent], ...this.#backlog]);
    this.down();
  }

  #onAnswer(fields: { deliveryTag: number; multiple: boolean }, isConfirm: boolean): void {
    const { deliveryTag, multiple } = fields;
    const now = this.#now();
    this.#heardAt = now;
    this.#pace.answered(deliveryTag, now, this.#backlog.size > 0);
    const first = multiple ? this.#lowest : deliveryTag;
    for (let tag = first; tag <= deliveryTag; tag += 1) this.#settle(tag, isConfirm, now);
    this.#advance();
    this.#sendBacklog();
  }

  #advance(): void {
    while (this.#lowest <= this.#tag && !this.#window.has(this.#lowest)) this.#lowest += 1;
  }

  #settle(tag: number, isConfirm: boolean, now: number): void {
    const publishing = this.#window.get(tag);
    if (publishing === undefined) return;
    this.#window.delete(tag);
    this.#counts.answered?.(isConfirm);
    // It is none of those that make the broker close the channel.
    if (publishing === this.#alone?.publishing) this.#alone = undefined;
    if (!isConfirm) {
      this.#onNack(publishing);
      return;
    }
    this.#forget(publishing);
    if (publishing.sentAt !== undefined) this.#counts.timed?.(publishing.sentAt, ticks(now));
    publishing.onConfirm();
  }

  #onNack(publishing: Publishing): void {
    const isAgain = publishing.onNack() === 'again';
    const verdict = isAgain ? this.#refused.add(publishing, this.#now()) : 'refused';
    if (verdict === 'waits') this.#retryLater();
    else this.#drop(publishing, verdict);
  }

  #settled(): void {
    this.#count();
    if (!this.isFull()) this.#options.onRoom();
  }

  #count(): void {
    const { size } = this;
    this.#counts.waiting?.(size - this.#counted.size, this.#bytes - this.#counted.bytes);
    this.#counted.size = size;
    this.#counted.bytes = this.#bytes;
  }

  #retryLater(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      // A timer may be a little early by this clock.
      this.#refused.tick(this.#now() + 2);
      if (this.#refused.waiting > 0) this.#retryLater();
      this.#sendBacklog();
    }, this.#options.limits.nackRetryMs);
  }

  /** Stop; what is unconfirmed stays so. */
  close(): void {
    clearTimeout(this.#retry);
    this.#channel = undefined;
  }
}
