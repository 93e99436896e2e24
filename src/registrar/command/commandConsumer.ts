/**
 * CommandConsumer: consumes the queue of commands: what comes when, and what had lain there.
 * From: one channel of the registrar's AMQP connection, by which commands come in.
 * To: commands.ts, one delivery at a time; outcomes.ts, which deliveries may still come again.
 * Bound: `commandPrefetch` deliveries not yet settled: then the broker keeps the rest.
 */
import type { Limits } from '../../base/limits.ts';
import type { CommandCounters } from '../../base/metrics.ts';
import type { AmqpMessage, ConsumeChannel } from '../../broker/amqp.ts';
import type { Answers } from '../../broker/answers.ts';
import type { Commands } from './commands.ts';
import type { Delivered, Deliveries } from './deliveries.ts';
import type { Outcomes } from './outcomes.ts';

export interface CommandConsumerOptions {
  readonly deliveries: Deliveries;
  readonly outcomes: Outcomes;
  readonly commands: Commands;
  readonly limits: Limits;
  readonly counters: CommandCounters;
  readonly answers: Pick<Answers, 'size'>;
  /** After this turn of the event loop: all that acceptors had sent by now has been read. */
  readonly later: (work: () => void) => void;
  /** A command was dropped because handling it threw: a bug of ours, limited to this command. */
  readonly onUndecided: (error: unknown) => void;
}

export class CommandConsumer {
  readonly #options: CommandConsumerOptions;
  #queue = '';
  /** Messages to come that lay in the queue before we consumed it. */
  #stale = 0;
  /** The channel that is known to be the queue's only one. */
  #granted: ConsumeChannel | undefined;
  #isLooking = false;

  constructor(options: CommandConsumerOptions) {
    this.#options = options;
  }

  /** Consume `queue`; `onCancel` is called when the broker ends that, as when it was deleted. */
  async open(channel: ConsumeChannel, queue: string, onCancel: () => void): Promise<void> {
    const { limits, deliveries } = this.#options;
    this.#queue = queue;
    deliveries.open(channel, queue);
    channel.on('close', () => this.#down(channel));
    await channel.prefetch(limits.commandPrefetch);
    this.#stale = Number.POSITIVE_INFINITY;
    const onMessage = (message: AmqpMessage | null) => {
      if (message === null) onCancel();
      else this.#onMessage(channel, message);
    };
    // Alone: once that is granted, what an earlier channel had not settled is back in the queue.
    const { consumerTag } = await channel.consume(queue, onMessage, { exclusive: true });
    // Lost in the moment in which it was granted: what comes after it is asked about the queue.
    if (!deliveries.isOn(channel)) return;
    deliveries.begun(consumerTag);
    this.#granted = channel;
    await this.#look();
  }

  #onMessage(channel: ConsumeChannel, message: AmqpMessage): void {
    const { outcomes, later } = this.#options;
    const isRedelivered = message.fields.redelivered;
    const isStale = this.#stale > 0;
    const delivery: Delivered = { channel, message, isRedelivered, isStale, isSettled: false };
    this.#stale -= 1;
    // What the broker gives again has its old place, before all that it never gave.
    if (!isRedelivered) outcomes.nothingComesAgain();
    if (isRedelivered) this.#decide(message, delivery);
    else later(() => this.#begin(message, delivery));
    // Nor will it, once all that lay there has come.
    if (this.#stale <= 0) outcomes.nothingComesAgain();
  }

  #begin(message: AmqpMessage, delivery: Delivered): void {
    // Of a channel that was lost meanwhile: the broker gives it again.
    if (this.#options.deliveries.isHere(delivery)) this.#decide(message, delivery);
  }

  /** Whatever is in it, it costs this message only: the queue moves on. */
  #decide(message: AmqpMessage, delivery: Delivered): void {
    const { commands, counters, deliveries, onUndecided } = this.#options;
    try {
      commands.onDelivery(message, delivery);
    } catch (error) {
      counters.undecided += 1;
      onUndecided(error);
      deliveries.settle(delivery);
    }
  }

  /**
   * How much of what lay in the queue at `open` is still there? At most what is there now: what
   * came out of it was delivered before this answer.
   */
  async #look(): Promise<void> {
    const channel = this.#granted;
    if (channel === undefined || this.#stale <= 0 || this.#isLooking) return;
    this.#isLooking = true;
    try {
      const { messageCount } = await channel.checkQueue(this.#queue);
      if (channel !== this.#granted) return;
      this.#stale = Math.min(this.#stale, messageCount);
      if (messageCount === 0) this.#options.outcomes.nothingComesAgain();
    } finally {
      this.#isLooking = false;
    }
  }

  #down(channel: ConsumeChannel): void {
    const { deliveries, outcomes, commands } = this.#options;
    if (!deliveries.isOn(channel)) return;
    deliveries.close();
    this.#granted = undefined;
    this.#stale = 0;
    outcomes.takeBack();
    commands.channelLost();
  }

  /** Outcomes that the broker has not confirmed. */
  get outcomesWaiting(): number {
    return this.#options.answers.size + this.#options.outcomes.size;
  }

  /** The same, and those of transient commands whose devices have still to answer. */
  get outcomesOwed(): number {
    return this.outcomesWaiting + this.#options.commands.figures().open;
  }

  tick(): void {
    const { commands, outcomes, counters } = this.#options;
    commands.tick();
    // A channel that fails is opened anew.
    this.#look().catch(() => {});
    void outcomes.makeRoom();
    const { kept, open } = commands.figures();
    Object.assign(counters, { kept, open, outcomesWaiting: this.outcomesWaiting });
  }
}
