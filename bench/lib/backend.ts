/**
 * Backend: answers every round trip with its own payload, and takes and counts events.
 * From: `amqp owsla <url> <prefix>` our contract (`amqp requests ...`: nobody takes the events),
 * `amqp mqtt <url>` RabbitMQ's MQTT plugin, whose topics are routing keys of amq.topic, or
 * `mqtt <port>` an MQTT broker without AMQP.
 * To: the same way back. Tells 'ready', then on each message how many events came so far.
 * Bound: prefetch; what came in one turn is acked and written together.
 */
import { connect as connectSocket } from 'node:net';
import { type Channel, type ConsumeMessage, connect } from 'amqplib';
import { names } from '../../src/broker/topology.ts';
import { Cutter } from './frames.ts';
import {
  connectPacket,
  PACKET,
  packetLength,
  pubackPacket,
  publishPacket,
  readPublish,
  subscribePacket,
} from './mqtt.ts';

export interface Taken {
  readonly events: number;
}

const PREFETCH = 2_000;
const MQTT_TOPICS = 'amq.topic';
let events = 0;

/** Consumes with one ack per turn. */
async function take(
  channel: Channel,
  queue: string,
  onMessage: (message: ConsumeMessage) => void,
): Promise<void> {
  let last: ConsumeMessage | undefined;
  await channel.prefetch(PREFETCH);
  await channel.consume(queue, (message) => {
    if (message === null) throw new Error(`the broker ended the consumer of ${queue}`);
    onMessage(message);
    if (last === undefined) {
      setImmediate(() => {
        if (last) channel.ack(last, true);
        last = undefined;
      });
    }
    last = message;
  });
}

interface Wiring {
  readonly requests: readonly [exchange: string, pattern: string];
  readonly events: readonly [exchange: string, pattern: string];
  reply(channel: Channel, message: ConsumeMessage): void;
}

function wiringOf(how: string, prefix: string): Wiring {
  if (how === 'mqtt') {
    return {
      requests: [MQTT_TOPICS, 'up.*'],
      events: [MQTT_TOPICS, 'ev.*'],
      reply: (channel, { fields, content }) => {
        // QoS 0, as it came.
        const key = `down.${fields.routingKey.slice('up.'.length)}`;
        channel.publish(MQTT_TOPICS, key, content, { persistent: false });
      },
    };
  }
  const at = names(prefix);
  return {
    requests: [at.requests, '#'],
    events: [at.events, '#'],
    reply: (channel, { properties, content }) => {
      const correlationId = String(properties.correlationId);
      channel.sendToQueue(String(properties.replyTo), content, { correlationId });
    },
  };
}

async function serveAmqp(how: string, url: string, prefix: string): Promise<void> {
  const wiring = wiringOf(how, prefix);
  const connection = await connect(`${url}?heartbeat=600`, { noDelay: true });
  const requests = await connection.createChannel();
  const asked = await requests.assertQueue('', { exclusive: true });
  await requests.bindQueue(asked.queue, ...wiring.requests);
  await take(requests, asked.queue, (message) => wiring.reply(requests, message));
  if (how === 'requests') return;

  const happened = await connection.createChannel();
  // Durable, so that a persistent event is one: its confirm comes when it lies on disk.
  const { queue } = await happened.assertQueue(`bench.events.${process.pid}`, {
    durable: true,
    autoDelete: true,
  });
  await happened.bindQueue(queue, ...wiring.events);
  await take(happened, queue, () => {
    events += 1;
  });
}

async function serveMqtt(port: number): Promise<void> {
  const socket = connectSocket({ host: '127.0.0.1', port, noDelay: true });
  const cutter = new Cutter(packetLength);
  const ready = new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the MQTT broker closed the link')));
    socket.on('data', (chunk: Buffer) => {
      socket.cork();
      cutter.push(chunk, (bytes, at, end) => {
        const first = bytes[at] ?? 0;
        if (first === PACKET.suback) resolve();
        if ((first & 0xf0) !== PACKET.publish) return;
        const { topic, payload, id } = readPublish(bytes, at, end);
        if (id !== undefined) {
          events += 1;
          socket.write(pubackPacket(id));
        } else {
          socket.write(publishPacket(`down/${topic.slice('up/'.length)}`, payload, undefined));
        }
      });
      socket.uncork();
    });
  });
  socket.write(connectPacket('backend', 0));
  socket.write(
    subscribePacket([
      ['up/+', 0],
      ['ev/+', 1],
    ]),
  );
  await ready;
  socket.on('close', () => process.exit(1));
}

const [kind = 'mqtt', where = '', url = '', prefix = ''] = process.argv.slice(2);
process.on('disconnect', () => process.exit());
process.on('message', () => process.send?.({ events } satisfies Taken));
if (kind === 'amqp') await serveAmqp(where, url, prefix);
else await serveMqtt(Number(where));
process.send?.('ready');
