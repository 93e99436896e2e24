/**
 * Command publisher: a backend that sends commands, and hears what became of them.
 * From: commands.ts.  To: the exchange `<prefix>.commands`; a reply queue of its own, and back.
 * Bound: UNCONFIRMED_MAX commands without a confirm; then it takes no more. Its queue outlives a
 * restart of the broker, and goes with `stop`, or after QUEUE_AGE_MS without us.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import amqp, { type ChannelModel, type ConfirmChannel, type ConsumeMessage } from 'amqplib';
import { names } from '../../src/broker/topology.ts';
import { UsageError, wordsOf } from '../plan/units.ts';
import type { Outcome, Unpublished } from './commandLedger.ts';

const UNCONFIRMED_MAX = 20_000;
const QUEUE_AGE_MS = 600_000;
const PREFETCH = 2_000;
const HEARTBEAT_S = '5';
const RETRY_MS = 500;
const TRIES = 20;
const KEPT = 2;
const TRANSIENT = 1;
/** amqplib's word for the broker's no. */
const NACKED = 'message nacked';

/** Where commands go. The URL has a password: it is no part of the plan, which reports show. */
export interface CommandBroker {
  readonly url: string;
  readonly prefix: string;
}

export interface Command {
  readonly number: number;
  readonly deviceId: string;
  readonly topic: string;
  readonly payload: Buffer;
  readonly isKept: boolean;
  /** In ms since 1970. */
  readonly deadline: number;
}

export interface CommandHearer {
  onUnpublished(number: number, fate: Unpublished): void;
  onOutcome(number: number, outcome: Outcome): void;
}

/** Wait until commands can be published at all. Throws UsageError when they cannot. */
export async function checkCommands({ url, prefix }: CommandBroker, tries = TRIES): Promise<void> {
  const exchange = names(prefix).commands;
  let why = '';
  for (let left = tries; left > 0; left -= 1) {
    try {
      const connection = await amqp.connect(url);
      connection.on('error', () => {});
      const channel = await connection.createChannel();
      channel.on('error', () => {});
      await channel.checkExchange(exchange).finally(() => connection.close());
      return;
    } catch (error) {
      why = wordsOf(error);
      if (left > 1) await sleep(RETRY_MS);
    }
  }
  throw new UsageError(`--command-rate: cannot publish to ${exchange}: ${why}`);
}

export class CommandPublisher {
  readonly #broker: CommandBroker;
  readonly #queue: string;
  readonly #hearer: CommandHearer;
  readonly #unconfirmed = new Map<number, Command>();
  #connection: ChannelModel | undefined;
  #channel: ConfirmChannel | undefined;
  #isStopped = false;

  /** `name` makes the reply queue one of this run and worker. */
  constructor(broker: CommandBroker, name: string, hearer: CommandHearer) {
    this.#broker = broker;
    this.#queue = `backend.loadgen.${name}`;
    this.#hearer = hearer;
  }

  get isReady(): boolean {
    return this.#channel !== undefined && this.#unconfirmed.size < UNCONFIRMED_MAX;
  }

  /** Connect, again and again until `stop`. `onReady` is called once, when it first can publish. */
  async run(onReady: () => void): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.#serve(onReady);
      } catch {
        // The broker is away: what is published meanwhile is skipped, and counted.
      }
      this.#channel = undefined;
      this.#forgetTransient();
      if (!this.#isStopped) await sleep(RETRY_MS);
    }
  }

  /** One connection's life. */
  async #serve(onReady: () => void): Promise<void> {
    const url = new URL(this.#broker.url);
    // A connection of ours that only the broker believes in takes outcomes away for twice that.
    if (!url.searchParams.has('heartbeat')) url.searchParams.set('heartbeat', HEARTBEAT_S);
    const connection = await amqp.connect(url.href, { noDelay: true });
    this.#connection = connection;
    const closed = new Promise<void>((resolve) => connection.once('close', () => resolve()));
    connection.on('error', () => {});
    const channel = await connection.createConfirmChannel();
    channel.on('error', () => void connection.close().catch(() => {}));
    await channel.assertQueue(this.#queue, { durable: true, expires: QUEUE_AGE_MS });
    await channel.prefetch(PREFETCH);
    await channel.consume(this.#queue, (message) => this.#onMessage(channel, message));
    this.#channel = channel;
    // Under the same message_id they are the same commands, should the broker have had them.
    for (const command of this.#unconfirmed.values()) this.#send(channel, command);
    onReady();
    await closed;
  }

  /** At most once: a transient command whose confirm is lost is not published again. */
  #forgetTransient(): void {
    for (const [number, { isKept }] of this.#unconfirmed) {
      if (isKept) continue;
      this.#unconfirmed.delete(number);
      this.#hearer.onUnpublished(number, 'unsure');
    }
  }

  /** Publish; only while `isReady`. The payload must not change any more. */
  publish(command: Command): void {
    this.#unconfirmed.set(command.number, command);
    if (this.#channel !== undefined) this.#send(this.#channel, command);
  }

  #send(channel: ConfirmChannel, command: Command): void {
    const { number, deviceId, topic, payload, isKept, deadline } = command;
    const options = {
      type: topic,
      replyTo: this.#queue,
      correlationId: String(number),
      messageId: `${this.#queue}.${number}`,
      deliveryMode: isKept ? KEPT : TRANSIENT,
      headers: { deadline },
    };
    const onConfirm = (error: Error | null): void => {
      // A channel that ends settles its publishes with an error of its own: nobody knows of these.
      if (error !== null && error.message !== NACKED) return;
      this.#unconfirmed.delete(number);
      if (error !== null) this.#hearer.onUnpublished(number, 'nacked');
    };
    try {
      channel.publish(names(this.#broker.prefix).commands, deviceId, payload, options, onConfirm);
    } catch {
      // IllegalOperationError: the channel is closed, and the connection about to be.
    }
  }

  #onMessage(channel: ConfirmChannel, message: ConsumeMessage | null): void {
    if (message === null) {
      void this.#connection?.close().catch(() => {});
      return;
    }
    const { properties, content } = message;
    const { status, reason } = properties.headers ?? {};
    this.#hearer.onOutcome(Number(properties.correlationId), {
      type: String(properties.type),
      status: typeof status === 'number' ? status : undefined,
      reason: typeof reason === 'string' ? reason : '',
      payload: content,
    });
    try {
      channel.ack(message);
    } catch {
      // As above; it comes again, and is then the same outcome once more.
    }
  }

  /** Take the queue away and disconnect. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const channel = this.#channel;
    this.#channel = undefined;
    await channel?.deleteQueue(this.#queue).catch(() => {});
    await this.#connection?.close().catch(() => {});
  }
}
