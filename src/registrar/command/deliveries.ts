/**
 * Deliveries: the channel by which commands come; each is settled on the one that brought it.
 * From: commandConsumer.ts, which opens it.  To: the broker.
 * Bound: `commandPrefetch` not yet settled: the broker keeps the rest.
 */
import { type AmqpMessage, type ConsumeChannel, isClosing } from '../../broker/amqp.ts';
import type { Delivery } from './effects.ts';

/** A delivery can be settled only on the channel that it came by. */
export interface Delivered extends Delivery {
  readonly channel: ConsumeChannel;
  readonly message: AmqpMessage;
  isSettled: boolean;
}

export class Deliveries {
  #channel: ConsumeChannel | undefined;
  #queue = '';
  #tag = '';

  /** Those of earlier channels are lost: the broker gives them again. */
  open(channel: ConsumeChannel, queue: string): void {
    this.#channel = channel;
    this.#queue = queue;
  }

  /** The broker calls what consumes there so. */
  begun(consumerTag: string): void {
    this.#tag = consumerTag;
  }

  close(): void {
    this.#channel = undefined;
  }

  isOn(channel: ConsumeChannel): boolean {
    return channel === this.#channel;
  }

  /** Of the present channel. */
  isHere(delivery: Delivery): boolean {
    return (delivery as Delivered).channel === this.#channel;
  }

  settle(delivery: Delivery): void {
    const delivered = delivery as Delivered;
    const { channel, message, isSettled } = delivered;
    if (isSettled || !this.isHere(delivery)) return;
    delivered.isSettled = true;
    try {
      channel.ack(message);
    } catch (error) {
      // What is not settled comes again on the next one.
      if (!isClosing(error)) throw error;
    }
  }

  /** The broker answers on this channel what was asked behind all that was settled. */
  async seen(): Promise<void> {
    if (this.#channel === undefined) throw new Error('no channel');
    await this.#channel.checkQueue(this.#queue);
  }

  /** Take no more from the queue: the broker keeps its messages for the next registrar. */
  async suspend(): Promise<void> {
    try {
      await this.#channel?.cancel(this.#tag);
    } catch {
      // The broker went away, and takes the consumer with it.
    }
  }
}
