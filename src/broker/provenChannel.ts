/**
 * ProvenChannel: publishes without confirms. Now and then the broker is asked something, and its
 * answer proves that it has handled all that was published before: a channel works in order.
 * From: publisher.ts, in place of a confirm channel; `doubt`, by acceptorBroker.ts.
 * To: a plain channel, and while in doubt one with confirms; 'ack' and 'nack', by tags of its own.
 * Bound: one question is under way. It follows ASK_EVERY messages, or half of the publisher's
 * window if that is less, or comes `confirmQuietMs` / 4 after a message; none while all is proved.
 *
 *   idle --publish--> armed --ASK_EVERY more, time, or `prove`--> asking --answer--> idle or armed
 *
 * A message costs acceptor and broker some 10 % less so (decision 0031). But that each queue has
 * it, or is full and refuses it, only a confirm or nack says. So for `requestMs` after a message
 * has come to nothing, they go with confirms.
 */
import { EventEmitter } from 'node:events';
import type { Limits } from '../base/limits.ts';
import type {
  AmqpAnswer,
  AmqpChannel,
  AmqpMessage,
  PublishChannel,
  PublishOptions,
} from './amqp.ts';

/** Half of what a publisher has under way at the least (pace.ts): it never waits for the clock. */
const ASK_EVERY = 64;
/** Of `confirmQuietMs`: a broker that answers is never silent for so long. */
const SHARE = 1 / 4;
/** No limit, as before: a channel that consumes nothing has no use for one. */
const PREFETCH = 0;

type AskedChannel = Pick<AmqpChannel, 'on' | 'publish' | 'prefetch'>;

export interface ProvenChannelOptions {
  readonly plain: AskedChannel;
  readonly confirming: Pick<AmqpChannel, 'on' | 'publish'>;
  readonly limits: Limits;
  /** Monotonic ms. */
  readonly now?: () => number;
}

export class ProvenChannel extends EventEmitter implements PublishChannel {
  readonly #options: ProvenChannelOptions;
  readonly #now: () => number;
  readonly #askMs: number;
  readonly #askEvery: number;
  #state: 'idle' | 'armed' | 'asking' | 'closed' = 'idle';
  #timer: NodeJS.Timeout | undefined;
  /** Published so far, on both. */
  #tag = 0;
  /** The last that went without a confirm, and how many of them no question was about. */
  #plain = 0;
  #unasked = 0;
  /** All up to this one that went without a confirm are proved; and what is said of that. */
  #proved = 0;
  #said = 0;
  /** Unanswered on the channel with confirms: its tags there, and here. Both rise. */
  readonly #unconfirmed = new Map<number, number>();
  #there = 0;
  #doubtedUntil = 0;

  constructor(options: ProvenChannelOptions) {
    super();
    const { plain, confirming, limits, now = () => performance.now() } = options;
    this.#options = options;
    this.#now = now;
    this.#askMs = limits.confirmQuietMs * SHARE;
    this.#askEvery = Math.max(1, Math.min(ASK_EVERY, Math.floor(limits.publishWindowMax / 2)));
    for (const channel of [plain, confirming]) {
      channel.on('drain', () => this.emit('drain'));
      channel.on('return', (message: AmqpMessage) => this.emit('return', message));
      channel.on('close', () => {
        this.#state = 'closed';
        clearTimeout(this.#timer);
      });
    }
    confirming.on('ack', (answer) => this.#onConfirm('ack', answer));
    confirming.on('nack', (answer) => this.#onConfirm('nack', answer));
  }

  /** A message has come to nothing: its queue may refuse what it gets. */
  doubt(): void {
    this.#doubtedUntil = this.#now() + this.#options.limits.requestMs;
  }

  publish(exchange: string, key: string, body: Buffer, options?: PublishOptions): boolean {
    const { plain, confirming } = this.#options;
    const isDoubted = this.#doubtedUntil > 0 && this.#now() < this.#doubtedUntil;
    const channel = isDoubted ? confirming : plain;
    const isTaken = channel.publish(exchange, key, body, options);
    this.#tag += 1;
    if (isDoubted) {
      this.#there += 1;
      this.#unconfirmed.set(this.#there, this.#tag);
      this.emit('asked', { deliveryTag: this.#tag, multiple: false });
    } else {
      this.#doubtedUntil = 0;
      this.#plain = this.#tag;
      this.#unasked += 1;
      this.#next();
    }
    return isTaken;
  }

  /** Ask now, if nothing is being asked: somebody waits for it. */
  prove(): void {
    if (this.#unasked === 0 || this.#state === 'asking' || this.#state === 'closed') return;
    clearTimeout(this.#timer);
    this.#state = 'asking';
    this.#unasked = 0;
    this.emit('asked', { deliveryTag: this.#plain, multiple: true });
    void this.#ask(this.#plain);
  }

  async #ask(tag: number): Promise<void> {
    try {
      // Nothing costs the broker less, and it never refuses this.
      await this.#options.plain.prefetch(PREFETCH);
    } catch {
      // The channel is closing, or closed: its 'close' says so.
      return;
    }
    if (this.#state !== 'asking') return;
    this.#state = 'idle';
    this.#proved = tag;
    this.#sayProved();
    this.#next();
  }

  /** Its listener may publish more. An 'ack' of all up to one must not cover the unconfirmed. */
  #sayProved(): void {
    if (this.#said === this.#proved) return;
    const [lowest] = this.#unconfirmed.values();
    if (lowest !== undefined && lowest < this.#proved) return;
    this.#said = this.#proved;
    this.emit('ack', { deliveryTag: this.#proved, multiple: true });
  }

  /** Ask, or see to it that it will be asked. */
  #next(): void {
    if (this.#unasked === 0 || this.#state === 'asking' || this.#state === 'closed') return;
    if (this.#unasked >= this.#askEvery) this.prove();
    else if (this.#state === 'idle') {
      this.#state = 'armed';
      this.#timer = setTimeout(() => this.prove(), this.#askMs);
    }
  }

  #onConfirm(said: 'ack' | 'nack', { deliveryTag, multiple }: AmqpAnswer): void {
    for (const [there, here] of this.#unconfirmed) {
      if (there > deliveryTag) break;
      if (!multiple && there !== deliveryTag) continue;
      this.#unconfirmed.delete(there);
      this.emit(said, { deliveryTag: here, multiple: false });
    }
    this.#sayProved();
  }
}
