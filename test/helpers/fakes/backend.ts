/** A backend inside a test: its own AMQP connection, its queues, what came and how it answers. */
import { randomUUID } from 'node:crypto';
import { type Channel, type ChannelModel, type ConsumeMessage, connect } from 'amqplib';
import { names } from '../../../src/broker/topology.ts';

/** Remove what a node with this prefix declared on a broker that others use too. */
export async function forgetTopology(amqp: string, prefix: string): Promise<void> {
  const at = names(prefix);
  const connection = await connect(amqp);
  const channel = await connection.createChannel();
  for (const exchange of [at.events, at.requests, at.unrouted, at.presence, at.commands, at.auth]) {
    await channel.deleteExchange(exchange);
  }
  for (const queue of [at.unrouted, at.presenceQuery, at.commands])
    await channel.deleteQueue(queue);
  await connection.close();
}

export type Handler = (message: ConsumeMessage, channel: Channel) => void;

/** Answer with the request's own payload. */
export const echo: Handler = (message, channel) => {
  const { replyTo, correlationId } = message.properties;
  channel.sendToQueue(String(replyTo), message.content, { correlationId: String(correlationId) });
};

export class Backend {
  readonly channel: Channel;
  readonly #connection: ChannelModel;

  private constructor(connection: ChannelModel, channel: Channel) {
    this.#connection = connection;
    this.channel = channel;
  }

  static async connect(amqp: string): Promise<Backend> {
    const connection = await connect(amqp);
    connection.on('error', () => {});
    const channel = await connection.createChannel();
    channel.on('error', () => {});
    return new Backend(connection, channel);
  }

  /** Consume what is published to `exchange` under `pattern`; every delivery is acked. */
  async on(exchange: string, pattern: string, handler: Handler): Promise<void> {
    const { channel } = this;
    const queue = `backend.${randomUUID()}`;
    await channel.assertQueue(queue, { exclusive: true });
    await channel.bindQueue(queue, exchange, pattern);
    await channel.consume(queue, (message) => {
      if (message === null) return;
      handler(message, channel);
      channel.ack(message);
    });
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }
}
