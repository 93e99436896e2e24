/**
 * CommandConsumer: the queue of commands, and what their decisions do to the world.
 * From: one channel of the registrar's AMQP connection, by which commands come in.
 * To: streamServer.ts; recorder.ts's transactions, as a part of them; outcomes, by answers.ts.
 * Bound: `commandPrefetch` deliveries not yet settled: then the broker keeps the rest.
 */
import { randomBytes } from 'node:crypto';
import type { Limits } from '../../base/limits.ts';
import { bump, type CommandCounters } from '../../base/metrics.ts';
import type { Trace } from '../../base/trace.ts';
import { type AmqpMessage, type ConsumeChannel, isClosing } from '../../broker/amqp.ts';
import type { Answers } from '../../broker/answers.ts';
import type { ToAcceptor } from '../../node/messages.ts';
import type { HeldLink } from '../store/presenceRules.ts';
import type { Store } from '../store/store.ts';
import { Commands } from './commands.ts';
import type { Delivery, Effects, Sending, Sent } from './effects.ts';
import { Outcomes } from './outcomes.ts';

export interface CommandConsumerOptions {
  readonly store: Store;
  readonly limits: Limits;
  readonly counters: CommandCounters;
  readonly answers: Pick<Answers, 'publish' | 'isFull' | 'size'>;
  /** ms since 1970. */
  readonly wall: () => number;
  /** ms of a monotonic clock. */
  readonly now: () => number;
  readonly send: (acceptor: string, message: ToAcceptor) => Sent;
  readonly isChanging: (device: string) => boolean;
  /** After this turn of the event loop: all that acceptors had sent by now has been read. */
  readonly later: (work: () => void) => void;
  /** There is something to record. */
  readonly wake: () => void;
  /** The store is to be believed, as far as is known. */
  readonly mayRead: () => boolean;
  readonly trace: Trace;
  readonly onFault: (error: unknown) => void;
  /** A command was dropped because handling it threw: a bug of ours, limited to this command. */
  readonly onUndecided: (error: unknown) => void;
}

/** A delivery can be settled only on the channel that it came by. */
interface Tagged extends Delivery {
  readonly channel: ConsumeChannel;
  readonly message: AmqpMessage;
  isSettled: boolean;
}

const KEY_BYTES = 16;

export class CommandConsumer implements Effects {
  readonly commands: Commands;
  readonly #options: CommandConsumerOptions;
  readonly #outcomes: Outcomes;
  #channel: ConsumeChannel | undefined;
  #tag = '';
  #queue = '';
  /** Messages to come that lay in the queue before we consumed it. */
  #stale = 0;
  /** The channel that is known to be the queue's only one. */
  #granted: ConsumeChannel | undefined;
  #isLooking = false;

  constructor(options: CommandConsumerOptions) {
    const { store, limits, counters, wall, now, answers, mayRead, trace, onFault } = options;
    this.#options = options;
    this.#outcomes = new Outcomes({
      ...{ store, answers, limits, wall, mayRead, trace, onFault },
      seen: () => this.#seen(),
      onDrop: (reason) => bump(counters.outcomeDrops, reason),
    });
    this.commands = new Commands({
      effects: this,
      limits,
      counters,
      store,
      wall,
      now,
      newKey: () => randomBytes(KEY_BYTES).toString('hex'),
      onOpen: (opened) => this.#outcomes.onOpen(opened),
      onCommit: (_, stored) => this.#outcomes.onCommit(stored),
      settledTo: () => this.#outcomes.settledTo(),
      trace,
    });
  }

  // The channel.

  /** Consume `queue`; `onCancel` is called when the broker ends that, as when it was deleted. */
  async open(channel: ConsumeChannel, queue: string, onCancel: () => void): Promise<void> {
    const { limits } = this.#options;
    this.#channel = channel;
    channel.on('close', () => this.#down(channel));
    await channel.prefetch(limits.commandPrefetch);
    this.#queue = queue;
    this.#stale = Number.POSITIVE_INFINITY;
    const onMessage = (message: AmqpMessage | null) => {
      if (message === null) onCancel();
      else this.#onMessage(channel, message);
    };
    // Alone: once that is granted, what an earlier channel had not settled is back in the queue.
    const { consumerTag } = await channel.consume(queue, onMessage, { exclusive: true });
    // Lost in the moment in which it was granted: what comes after it is asked about the queue.
    if (channel !== this.#channel) return;
    this.#tag = consumerTag;
    this.#granted = channel;
    await this.#look();
  }

  #onMessage(channel: ConsumeChannel, message: AmqpMessage): void {
    const isRedelivered = message.fields.redelivered;
    const isStale = this.#stale > 0;
    const delivery: Tagged = { channel, message, isRedelivered, isStale, isSettled: false };
    this.#stale -= 1;
    // What the broker gives again has its old place, before all that it never gave.
    if (!isRedelivered) this.#outcomes.nothingComesAgain();
    if (isRedelivered) this.#decide(message, delivery);
    else this.#options.later(() => this.#begin(message, delivery));
    // Nor will it, once all that lay there has come.
    if (this.#stale <= 0) this.#outcomes.nothingComesAgain();
  }

  #begin(message: AmqpMessage, delivery: Tagged): void {
    // Of a channel that was lost meanwhile: the broker gives it again.
    if (delivery.channel === this.#channel) this.#decide(message, delivery);
  }

  /** Whatever is in it, it costs this message only: the queue moves on. */
  #decide(message: AmqpMessage, delivery: Tagged): void {
    try {
      this.commands.onDelivery(message, delivery);
    } catch (error) {
      this.#options.counters.undecided += 1;
      this.#options.onUndecided(error);
      this.settle(delivery);
    }
  }

  /** The broker answers on this channel what was asked behind all that was settled. */
  async #seen(): Promise<void> {
    const channel = this.#channel;
    if (channel === undefined) throw new Error('no channel');
    await channel.checkQueue(this.#queue);
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
      if (messageCount === 0) this.#outcomes.nothingComesAgain();
    } finally {
      this.#isLooking = false;
    }
  }

  #down(channel: ConsumeChannel): void {
    if (channel !== this.#channel) return;
    this.#channel = undefined;
    this.#granted = undefined;
    this.#stale = 0;
    this.#outcomes.takeBack();
    this.commands.channelLost();
  }

  /** Take no more from the queue: the broker keeps its messages for the next registrar. */
  async suspend(): Promise<void> {
    try {
      await this.#channel?.cancel(this.#tag);
    } catch {
      // The broker went away, and takes the consumer with it.
    }
  }

  /** There is room for answers. */
  makeRoom(): void {
    void this.#outcomes.makeRoom();
  }

  /** Outcomes that the broker has not confirmed. */
  get outcomesWaiting(): number {
    return this.#options.answers.size + this.#outcomes.size;
  }

  tick(): void {
    this.commands.tick();
    // A channel that fails is opened anew.
    this.#look().catch(() => {});
    void this.#outcomes.makeRoom();
    const { counters } = this.#options;
    const { kept, open } = this.commands.figures();
    Object.assign(counters, { kept, open, outcomesWaiting: this.outcomesWaiting });
  }

  // Effects.

  send({ acceptor, connection }: HeldLink, device: string, sending: Sending): Sent {
    const { key, topic, payload, due, after } = sending;
    const { send, counters } = this.#options;
    const what = [key, topic, payload, due, after] as const;
    const sent = send(acceptor, ['command', device, connection, ...what]);
    if (sent === 'sent') counters.sent += 1;
    return sent;
  }

  settle(delivery: Delivery): void {
    const tagged = delivery as Tagged;
    const { channel, message, isSettled } = tagged;
    if (isSettled || channel !== this.#channel) return;
    tagged.isSettled = true;
    try {
      channel.ack(message);
    } catch (error) {
      // It is closing; what is not settled comes again on the next one.
      if (!isClosing(error)) throw error;
    }
  }

  conclude(delivery: Delivery, outcome: Parameters<Outcomes['publish']>[0]): void {
    // Of a lost channel: the broker gives it again, and then it is settled.
    const isHere = (delivery as Tagged).channel === this.#channel;
    if (isHere) this.#outcomes.publish(outcome, () => this.settle(delivery));
    else this.#outcomes.hold(outcome);
  }

  settleAgain(key: string, delivery: Delivery): void {
    this.#outcomes.again(key, () => this.settle(delivery));
  }

  publish(outcome: Parameters<Outcomes['publish']>[0]): void {
    this.#outcomes.publish(outcome);
  }

  isChanging(device: string): boolean {
    return this.#options.isChanging(device);
  }

  wake(): void {
    this.#options.wake();
  }
}
