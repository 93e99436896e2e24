/**
 * A backend that commands: publishes to the command exchange, and keeps every outcome it hears.
 * From: the test.  To: the broker; outcomes by correlation id, and what is wrong about them.
 * Bound: none; it keeps everything.
 */
import { randomUUID } from 'node:crypto';
import { type ChannelModel, type ConfirmChannel, connect, type Options } from 'amqplib';
import { names } from '../../../src/broker/topology.ts';

export interface Told {
  readonly type: string;
  readonly status: number | undefined;
  readonly reason: string | undefined;
  readonly text: string;
}

export interface Order {
  readonly topic?: string;
  readonly payload?: string | Buffer;
  /** Kept, for so many ms from now. */
  readonly keepMs?: number;
  readonly properties?: Options.Publish;
}

export class Commander {
  readonly told = new Map<string, Told[]>();
  readonly #waiting = new Map<string, (() => void)[]>();
  /** The exchange's name, and the queue's. */
  readonly #commands: string;
  readonly #model: ChannelModel;
  readonly #channel: ConfirmChannel;
  readonly queue: string;

  private constructor(model: ChannelModel, channel: ConfirmChannel, prefix: string, queue: string) {
    this.#model = model;
    this.#channel = channel;
    this.#commands = names(prefix).commands;
    this.queue = queue;
  }

  /** `durable` names a queue for outcomes that outlives this connection, and the broker's end. */
  static async connect(amqp: string, prefix: string, durable?: string): Promise<Commander> {
    const model = await connect(amqp, { noDelay: true });
    model.on('error', () => {});
    const channel = await model.createConfirmChannel();
    channel.on('error', () => {});
    const queue = durable ?? `backend.${randomUUID()}`;
    const commander = new Commander(model, channel, prefix, queue);
    await channel.assertQueue(queue, { exclusive: durable === undefined });
    await channel.consume(queue, (message) => {
      if (message === null) return;
      const { correlationId, type, headers = {} } = message.properties;
      const { status, reason } = headers as { status?: number; reason?: string };
      const told = { type: String(type), status, reason, text: message.content.toString() };
      commander.#hear(String(correlationId), told);
      channel.ack(message);
    });
    return commander;
  }

  /** Consumers of the queue of commands, as the broker has it. */
  async consumers(): Promise<number> {
    return (await this.#channel.checkQueue(this.#commands)).consumerCount;
  }

  #hear(id: string, told: Told): void {
    this.told.set(id, [...(this.told.get(id) ?? []), told]);
    for (const go of this.#waiting.get(id) ?? []) go();
  }

  /** Publish one command. Gives its correlation id once the broker has it. */
  async send(device: string, order: Order = {}): Promise<string> {
    const { topic = 'door.open', payload = 'now', keepMs, properties } = order;
    const correlationId = properties?.correlationId ?? randomUUID();
    const kept =
      keepMs === undefined
        ? { persistent: false }
        : { persistent: true, headers: { deadline: Date.now() + keepMs } };
    this.#channel.publish(this.#commands, device, Buffer.from(payload), {
      type: topic,
      messageId: correlationId,
      replyTo: this.queue,
      ...kept,
      ...properties,
      correlationId,
    });
    await this.#channel.waitForConfirms();
    return correlationId;
  }

  /** The final outcome; waits for it. */
  async final(id: string): Promise<Told> {
    for (;;) {
      const final = this.told.get(id)?.find(({ type }) => type !== 'delivered');
      if (final) return final;
      await new Promise<void>((resolve) => {
        this.#waiting.set(id, [...(this.#waiting.get(id) ?? []), resolve]);
      });
    }
  }

  /** Send, and wait for the final outcome. */
  async command(device: string, order: Order = {}): Promise<Told> {
    return this.final(await this.send(device, order));
  }

  /** Types heard for `id`, in order. */
  types(id: string): string[] {
    return (this.told.get(id) ?? []).map(({ type }) => type);
  }

  /** The ends heard for `id`, each once: an outcome may come twice. */
  ends(id: string): string[] {
    const finals = (this.told.get(id) ?? []).filter(({ type }) => type !== 'delivered');
    const words = finals.map(({ type, reason, text }) => `${type} ${reason ?? text}`);
    return [...new Set(words)];
  }

  /** Commands that were told two different ends. */
  contradictions(): string[] {
    return [...this.told].flatMap(([id, told]) => {
      const finals = told.filter(({ type }) => type !== 'delivered');
      return new Set(finals.map((final) => JSON.stringify(final))).size > 1 ? [id] : [];
    });
  }

  async close(): Promise<void> {
    await this.#model.close();
  }
}
