/**
 * The floor: our work with bare parts, `net` and amqplib in one process. A message has 32 bytes
 * and its kind in the first; it goes to the broker with the same properties and confirmed, on the
 * same two connections; a reply is written back to its socket, and so is one byte per confirm.
 * No frames, no checks, no limits, no deadlines, no recovery, no second process.
 * What Owsla batches is batched here too: one ack of replies per turn.
 */
import type { Socket } from 'node:net';
import { type ConsumeMessage, connect, type Options } from 'amqplib';
import { v4 as uuid } from 'uuid';
import { makeLimits } from '../../src/base/limits.ts';
import { declareReplies, declareUplink, names } from '../../src/broker/topology.ts';
import { BARE, BARE_HELLO_BYTES, PAYLOAD_BYTES } from './dialects.ts';
import { serve } from './serve.ts';

const [amqp = '', prefix = 'bench'] = process.argv.slice(2);

const limits = makeLimits();
const at = names(prefix);
const replyTo = at.acceptor(`floor-${process.pid}`);
const publishing = await connect(amqp, { noDelay: true });
const publishes = await publishing.createConfirmChannel();
await declareUplink(publishes, at, limits);
const consuming = await connect(amqp, { noDelay: true });
const replies = await consuming.createChannel();
await declareReplies(replies, replyTo, limits);
await replies.prefetch(limits.prefetch);

const sockets = new Map<string, Socket>();
const ACK = Buffer.from([BARE.ack]);
const DEVICE = 'device-0';
const TOPIC = 'door.badge';
const KEY = `${DEVICE}.${TOPIC}`;
let last: ConsumeMessage | undefined;

await replies.consume(replyTo, (message) => {
  if (message === null) return;
  const connectionId = String(message.properties.correlationId).slice(0, 36);
  sockets.get(connectionId)?.write(message.content);
  if (last === undefined) {
    queueMicrotask(() => {
      if (last) replies.ack(last, true);
      last = undefined;
    });
  }
  last = message;
});

/** What both kinds of message carry. */
function properties(type: string, connection: string, id: number): Options.Publish {
  const receivedAt = Date.now();
  return {
    type,
    appId: 'owsla',
    contentType: 'application/octet-stream',
    messageId: `${connection}:${id}`,
    timestamp: Math.floor(receivedAt / 1_000),
    headers: { device: DEVICE, connection, topic: TOPIC, peer: '127.0.0.1:12345', receivedAt },
  };
}

function request(connection: string, id: number, payload: Buffer): void {
  const same = properties('request', connection, id);
  const deadline = Date.now() + limits.requestMs;
  publishes.publish(
    at.requests,
    KEY,
    payload,
    {
      ...same,
      correlationId: String(same.messageId),
      replyTo,
      expiration: limits.requestMs,
      mandatory: true,
      persistent: false,
      headers: { ...same.headers, deadline },
    },
    () => {},
  );
}

function event(connection: string, id: number, payload: Buffer, socket: Socket): void {
  const options = { ...properties('event', connection, id), persistent: true };
  publishes.publish(at.events, KEY, payload, options, (error) => {
    if (error) throw error;
    socket.write(ACK);
  });
}

serve((socket) => {
  const connection = uuid();
  let id = 0;
  sockets.set(connection, socket);
  socket.on('close', () => sockets.delete(connection));
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    if (chunk[0] === BARE.hello && chunk.length === BARE_HELLO_BYTES) {
      socket.write(chunk);
      return;
    }
    // Messages are small and few per link: TCP never cuts one, and if it does, we want to know.
    if (chunk.length % PAYLOAD_BYTES !== 0) throw new Error('a message was cut');
    for (let from = 0; from < chunk.length; from += PAYLOAD_BYTES) {
      const payload = chunk.subarray(from, from + PAYLOAD_BYTES);
      id += 1;
      if (payload[0] === BARE.event) event(connection, id, payload, socket);
      else request(connection, id, payload);
    }
  });
});
