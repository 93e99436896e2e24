/**
 * ProvenChannel: a channel without confirms. Now and then the broker is asked something, and its
 * answer proves that it has handled all that was published before: a channel works in order.
 * From: publisher.ts, in place of a confirm channel.  To: one plain channel; 'ack' when proved.
 * Bound: one question is under way. It follows ASK_EVERY messages, or half of the publisher's
 * window if that is less, or comes `confirmQuietMs` / 4 after a message; none while all is proved.
 *
 *   idle --publish--> armed --ASK_EVERY more, time, or `prove`--> asking --answer--> idle or armed
 *
 * A message costs acceptor and broker a tenth less so than with a confirm of its own (decision
 * 0031). What a confirm says more is not known here: that each queue has taken it.
 */
import { EventEmitter } from 'node:events';
import type { Limits } from '../base/limits.ts';
import type { AmqpChannel, AmqpMessage, PublishChannel, PublishOptions } from './amqp.ts';

/** Half of what a publisher has under way at the least (pace.ts): it never waits for the clock. */
const ASK_EVERY = 64;
/** Of `confirmQuietMs`: a broker that answers is never silent for so long. */
const SHARE = 1 / 4;
/** No limit, as before: a channel that consumes nothing has no use for one. */
const PREFETCH = 0;

type AskedChannel = Pick<AmqpChannel, 'on' | 'publish' | 'prefetch'>;

export class ProvenChannel extends EventEmitter implements PublishChannel {
  readonly #channel: AskedChannel;
  readonly #askMs: number;
  readonly #askEvery: number;
  #state: 'idle' | 'armed' | 'asking' | 'closed' = 'idle';
  #timer: NodeJS.Timeout | undefined;
  /** Published so far. */
  #tag = 0;
  /** Of these, those that the last question was about. */
  #asked = 0;

  constructor(channel: AskedChannel, limits: Limits) {
    super();
    this.#channel = channel;
    this.#askMs = limits.confirmQuietMs * SHARE;
    this.#askEvery = Math.max(1, Math.min(ASK_EVERY, Math.floor(limits.publishWindowMax / 2)));
    channel.on('drain', () => this.emit('drain'));
    channel.on('return', (message: AmqpMessage) => this.emit('return', message));
    channel.on('close', () => {
      this.#state = 'closed';
      clearTimeout(this.#timer);
    });
  }

  publish(exchange: string, key: string, body: Buffer, options?: PublishOptions): boolean {
    const isTaken = this.#channel.publish(exchange, key, body, options);
    this.#tag += 1;
    this.#next();
    return isTaken;
  }

  /** Ask now, if nothing is being asked: somebody waits for it. */
  prove(): void {
    if (this.#state === 'asking' || this.#state === 'closed') return;
    clearTimeout(this.#timer);
    this.#state = 'asking';
    const tag = this.#tag;
    this.#asked = tag;
    this.emit('asked', { deliveryTag: tag, multiple: true });
    void this.#ask(tag);
  }

  async #ask(tag: number): Promise<void> {
    try {
      // Nothing costs the broker less, and it never refuses this.
      await this.#channel.prefetch(PREFETCH);
    } catch {
      // The channel is closing, or closed: its 'close' says so.
      return;
    }
    if (this.#state !== 'asking') return;
    this.#state = 'idle';
    // Its listener may publish more.
    this.emit('ack', { deliveryTag: tag, multiple: true });
    this.#next();
  }

  /** Ask, or see to it that it will be asked. */
  #next(): void {
    const unasked = this.#tag - this.#asked;
    if (unasked === 0 || this.#state === 'asking' || this.#state === 'closed') return;
    if (unasked >= this.#askEvery) this.prove();
    else if (this.#state === 'idle') {
      this.#state = 'armed';
      this.#timer = setTimeout(() => this.prove(), this.#askMs);
    }
  }
}
