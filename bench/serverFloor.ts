/**
 * The floor: our round trip with bare parts. One TCP chunk is one message; it goes to the broker
 * with the same properties, mandatory and confirmed, on the same two connections, and the reply is
 * written back to its socket. No frames, no checks, no limits, no deadlines, no recovery.
 * What Owsla batches is batched here too: one ack per turn.
 */
import { createServer, type Socket } from 'node:net';
import { type ConsumeMessage, connect } from 'amqplib';
import { v4 as uuid } from 'uuid';
import { makeLimits } from '../src/base/limits.ts';
import { declareReplies, declareUplink, names } from '../src/broker/topology.ts';
import { serve } from './serverMain.ts';

await serve(async ({ amqp, prefix }) => {
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

  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const connectionId = uuid();
    let id = 0;
    sockets.set(connectionId, socket);
    socket.on('close', () => sockets.delete(connectionId));
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('data', (payload: Buffer) => {
      id += 1;
      const messageId = `${connectionId}:${id}`;
      const receivedAt = Date.now();
      publishes.publish(
        at.requests,
        'device-0.door.badge',
        payload,
        {
          type: 'request',
          appId: 'owsla',
          contentType: 'application/octet-stream',
          messageId,
          correlationId: messageId,
          replyTo,
          expiration: limits.requestMs,
          mandatory: true,
          persistent: false,
          timestamp: Math.floor(receivedAt / 1_000),
          headers: {
            device: 'device-0',
            connection: connectionId,
            topic: 'door.badge',
            peer: '127.0.0.1:12345',
            receivedAt,
            deadline: receivedAt + limits.requestMs,
          },
        },
        () => {},
      );
    });
  });
  return new Promise((resolve) => {
    server.listen({ host: '127.0.0.1', port: 0, reusePort: true, backlog: 4_096 }, () => {
      resolve((server.address() as { port: number }).port);
    });
  });
});
