/** A backend inside a test: its own AMQP connection, its queues, what came and how it answers. */
import { type Channel, type ChannelModel, type ConsumeMessage, connect } from 'amqplib';

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
  async on(exchange: string, pattern: string, handler: Handler, queue = ''): Promise<string> {
    const { channel } = this;
    const isNamed = queue !== '';
    const asserted = await channel.assertQueue(queue, { exclusive: !isNamed, durable: isNamed });
    await channel.bindQueue(asserted.queue, exchange, pattern);
    await channel.consume(asserted.queue, (message) => {
      if (message === null) return;
      handler(message, channel);
      channel.ack(message);
    });
    return asserted.queue;
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }
}
