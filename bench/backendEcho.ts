/** A backend that answers every request at once with its own payload. */
import { connect } from 'amqplib';
import { names } from '../src/broker/topology.ts';

const [amqp = '', prefix = 'bench'] = process.argv.slice(2);
process.on('disconnect', () => process.exit());
// On a machine that is full of links it may be late with its heartbeats; the broker must bear that.
const connection = await connect(`${amqp}?heartbeat=600`, { noDelay: true });
connection.on('error', (error) => console.error(`backend: ${error}`));
const channel = await connection.createChannel();
const { queue } = await channel.assertQueue('', { exclusive: true });
await channel.assertExchange(names(prefix).requests, 'topic', { durable: true });
await channel.bindQueue(queue, names(prefix).requests, '#');
await channel.prefetch(1_000);
await channel.consume(queue, (message) => {
  if (message === null) return;
  const { replyTo, correlationId } = message.properties;
  channel.sendToQueue(String(replyTo), message.content, { correlationId: String(correlationId) });
  channel.ack(message);
});
process.send?.('ready');
