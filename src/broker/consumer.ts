/**
 * Consumer: the deliveries of one queue, each decided by its handler in the turn it comes in.
 * From: a channel with `prefetch` deliveries under way.  To: downlink.ts, then one ack per turn.
 * Bound: as every delivery is acked in its turn, no slow device can hold the channel.
 */
import { type AmqpChannel, type AmqpMessage, type ConsumeChannel, isClosing } from './amqp.ts';

type DeletingChannel = ConsumeChannel & Pick<AmqpChannel, 'deleteQueue'>;

export class Consumer {
  readonly #onDelivery: (message: AmqpMessage) => void;
  #channel: DeletingChannel | undefined;
  #tag = '';
  /** Consumers begun so far. */
  #begun = 0;
  /** The last delivery decided in this turn. Order makes one ack cover all before it. */
  #last: AmqpMessage | undefined;

  /** `onDelivery` decides the message's fate before it returns; it must not throw. */
  constructor(onDelivery: (message: AmqpMessage) => void) {
    this.#onDelivery = onDelivery;
  }

  /** Consume `queue`; `onCancel` is called when the broker ends that, as when it was deleted. */
  async open(
    channel: DeletingChannel,
    queue: string,
    prefetch: number,
    onCancel: () => void,
  ): Promise<void> {
    this.#channel = channel;
    this.#last = undefined;
    await channel.prefetch(prefetch);
    const onMessage = (message: AmqpMessage | null) => {
      if (message === null) onCancel();
      else this.#deliver(channel, message);
    };
    // A connection that we gave up may live on at the broker until it misses our heartbeats. Its
    // consumer would get every other reply; a newer one has priority over it.
    this.#begun += 1;
    const { consumerTag } = await channel.consume(queue, onMessage, { priority: this.#begun });
    this.#tag = consumerTag;
  }

  #deliver(channel: DeletingChannel, message: AmqpMessage): void {
    this.#onDelivery(message);
    if (this.#last === undefined) queueMicrotask(() => this.#ack(channel));
    this.#last = message;
  }

  #ack(channel: DeletingChannel): void {
    const last = this.#last;
    this.#last = undefined;
    if (last === undefined || channel !== this.#channel) return;
    try {
      channel.ack(last, true);
    } catch (error) {
      // It is closing, as after a deleted queue; what is not acked comes again on the next one.
      if (!isClosing(error)) throw error;
      this.down();
    }
  }

  /** Take no more, and delete the queue: it will not be read again. */
  async close(queue: string): Promise<void> {
    const channel = this.#channel;
    if (channel === undefined) return;
    try {
      await channel.cancel(this.#tag);
      await channel.deleteQueue(queue);
    } catch {
      // The broker went away; the queue expires by itself.
    }
  }

  /** The channel is gone; what it had not acked will be delivered again. */
  down(): void {
    this.#channel = undefined;
  }
}
