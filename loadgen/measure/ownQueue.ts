/**
 * OwnQueue: a queue of loadgen's own at the broker, for what it only watches.
 * From: watch.ts and presenceWatch.ts.  To: their handlers, each message once.
 * Bound: it goes with its connection; messages are not acknowledged.
 */
import { randomUUID } from 'node:crypto';
import type { Channel, ConsumeMessage } from 'amqplib';

/** Resolves with its name; with an exchange all of that comes. Rejects with the broker's error. */
export async function ownQueue(
  channel: Channel,
  onMessage: (message: ConsumeMessage) => void,
  exchange?: string,
): Promise<string> {
  // Named by us: a backend's rights end where the broker makes up a name (docs/amqp.md).
  const name = `backend.loadgen.${randomUUID()}`;
  await channel.assertQueue(name, { exclusive: true, autoDelete: true });
  if (exchange !== undefined) await channel.bindQueue(name, exchange, '#');
  await channel.consume(name, (message) => message && onMessage(message), { noAck: true });
  return name;
}
