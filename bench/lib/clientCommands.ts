/**
 * Devices and their commander in one process, so that both ways are timed by one clock: REQUEST to
 * REPLY at the device, publish to outcome `result` at the commander. Devices answer at once.
 * `clientCommands.ts PORT AMQP PREFIX DEVICES`, forked; each Turn it is told is answered with
 * Times.
 */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect } from 'amqplib';
import { names } from '../../src/broker/topology.ts';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { encode, V1Reader } from '../../src/wire/v1.ts';
import type { Times, Turn } from './commandWays.ts';

const DEADLINE_MS = 60_000;
const TICK_MS = 1;
const payload = Buffer.alloc(32, 'x');
const [port = '0', amqp = '', prefix = 'bench', count = '200'] = process.argv.slice(2);

/** What is under way, by number; when it began. */
const began = new Map<number, number>();
let times: number[] = [];
let failed = 0;
let onAnswered = () => {};

function answered(number: number, isGood: boolean): void {
  const at = began.get(number);
  if (at === undefined) return;
  began.delete(number);
  if (isGood) times.push((performance.now() - at) * 1_000);
  else failed += 1;
  if (began.size === 0) onAnswered();
}

class Device {
  readonly id: string;
  readonly #socket: Socket;
  #lastId = 0;
  readonly #numbers = new Map<number, number>();

  constructor(id: string) {
    this.id = id;
    this.#socket = connectTcp({ host: '127.0.0.1', port: Number(port), noDelay: true });
  }

  async open(): Promise<void> {
    const reader = new V1Reader(65_536);
    const options = { token: undefined, keepalive: undefined, frameBytesMax: undefined };
    this.#socket.write(encode({ type: TYPE.HELLO, version: 1, deviceId: this.id, ...options }));
    const welcomed = once(this.#socket, 'data');
    this.#socket.on('data', (chunk: Buffer) => {
      reader.push(chunk);
      for (let next = reader.next(); next; next = reader.next()) this.#onMessage(next);
    });
    await welcomed;
  }

  #onMessage(message: Message): void {
    if (message.type === TYPE.COMMAND) {
      const { id, payload } = message;
      this.#socket.write(encode({ type: TYPE.RESULT, id, status: 0, payload }));
    } else if (message.type === TYPE.REPLY) {
      const number = this.#numbers.get(message.id) ?? -1;
      this.#numbers.delete(message.id);
      answered(number, message.status === 0);
    }
  }

  request(number: number): void {
    this.#lastId += 1;
    this.#numbers.set(this.#lastId, number);
    const topic = 'door.badge';
    this.#socket.write(encode({ type: TYPE.REQUEST, id: this.#lastId, topic, payload, meta: {} }));
  }
}

process.on('disconnect', () => process.exit());
const devices = Array.from({ length: Number(count) }, (_, at) => new Device(`device-${at}`));
await Promise.all(devices.map((device) => device.open()));
const connection = await connect(`${amqp}?heartbeat=600`, { noDelay: true });
const channel = await connection.createChannel();
const { queue } = await channel.assertQueue('', { exclusive: true });
await channel.consume(
  queue,
  (message) => {
    const { correlationId, type } = message?.properties ?? {};
    if (type !== 'delivered') answered(Number(correlationId), type === 'result');
  },
  { noAck: true },
);

function command(number: number, { id }: Device, isKept: boolean): void {
  channel.publish(names(prefix).commands, id, payload, {
    type: 'door.open',
    messageId: String(number),
    correlationId: String(number),
    replyTo: queue,
    persistent: isKept,
    headers: { deadline: Date.now() + DEADLINE_MS },
  });
}

let last = 0;

/** By the clock, whether answers come or not; resolves when all have come. */
async function run({ way, rate, seconds }: Turn): Promise<Times> {
  [times, failed] = [[], 0];
  const total = Math.round(rate * seconds);
  const start = performance.now();
  let sent = 0;
  await new Promise<void>((resolve) => {
    onAnswered = () => {
      if (sent === total) resolve();
    };
    const ticker = setInterval(() => {
      const due = Math.min(total, Math.floor(((performance.now() - start) * rate) / 1_000));
      for (; sent < due; sent += 1) {
        last += 1;
        const device = devices[last % devices.length] as Device;
        began.set(last, performance.now());
        if (way === 'request') device.request(last);
        else command(last, device, way === 'kept');
      }
      if (sent === total) clearInterval(ticker);
    }, TICK_MS);
  });
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(times.length * share)] ?? Number.NaN;
  return { count: times.length, p50: at(0.5), p99: at(0.99), failed };
}

process.on('message', (turn: Turn) => {
  void run(turn).then((times) => process.send?.(times));
});
process.send?.('ready');
