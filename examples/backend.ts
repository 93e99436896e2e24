/**
 * backend.ts - a backend for Owsla with amqplib: answers every REQUEST with its own payload.
 *
 *   OWSLA_AMQP=amqp://127.0.0.1 node examples/backend.ts
 *
 * To answer is to publish to the default exchange with the request's `replyTo` as routing key and
 * its `correlationId`. docs/amqp.md has the rest; backend.rb is the same in Ruby.
 * Bound: 256 requests are held at a time, acked when answered. amqplib reconnects by itself and
 * runs `setup` again. For tests: DELAY_MS, an answer takes up to that long; SHUFFLE=1, they
 * overtake each other.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Channel, type ChannelModel, type ConsumeMessage, connect } from 'amqplib';

const url = process.env.OWSLA_AMQP ?? 'amqp://127.0.0.1';
const prefix = process.env.OWSLA_PREFIX ?? 'owsla';
const delayMs = Number(process.env.DELAY_MS ?? 0);
const shuffles = process.env.SHUFFLE !== undefined;

/** On every (re)connect: a queue for the requests, and somebody who answers them. */
async function setup(link: ChannelModel): Promise<void> {
  const channel = await link.createChannel();
  channel.on('error', () => {}); // told below, or followed by a new connection
  const { queue } = await channel.assertQueue(`backend.${prefix}`, { durable: true });
  await channel.bindQueue(queue, `${prefix}.requests`, '#');
  await channel.prefetch(256);
  let turn = Promise.resolve();
  await channel.consume(queue, (request) => {
    if (request === null) return;
    const before = shuffles ? Promise.resolve() : turn;
    turn = before.then(() => answer(channel, request)).catch(forget);
  });
  console.log('ready');
}

async function answer(channel: Channel, request: ConsumeMessage): Promise<void> {
  if (delayMs > 0) await sleep(Math.random() * delayMs); // a real backend does its work here
  const { replyTo, correlationId } = request.properties;
  channel.sendToQueue(replyTo, request.content, { correlationId });
  channel.ack(request);
}

/** The channel was gone: the broker gives the request out again. */
function forget(error: Error): void {
  console.error(`request: ${error.message}`);
}

const link = await connect(url, { recovery: { setup, maxDelay: 5_000, waitForConnect: false } });
link.on('connect-failed', (error) => console.error(`broker: ${error.message}`));
link.on('error', (error) => console.error(`broker: ${error.message}`));
