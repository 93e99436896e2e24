/**
 * Closed-loop clients: N links, one message under way on each, until a total is reached.
 * `frames` speaks the device protocol, `bare` sends the payload alone; both count 32-byte payloads.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { TYPE } from '../src/wire/message.ts';
import { encode, v1 } from '../src/wire/v1.ts';

export interface Rounds {
  readonly rounds: number;
  readonly seconds: number;
  /** Round trips in microseconds: p50 and p99. */
  readonly p50: number;
  readonly p99: number;
}

const [mode = 'bare', port = '0', links = '100', total = '10000'] = process.argv.slice(2);
const payload = Buffer.alloc(32, 'x');
const share = Math.floor(Number(total) / Number(links));
const times: number[] = [];

async function open(): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port: Number(port), noDelay: true });
  await once(socket, 'connect');
  return socket;
}

async function bareRounds(): Promise<void> {
  const socket = await open();
  for (let round = 0; round < share; round += 1) {
    const sent = performance.now();
    socket.write(payload);
    await once(socket, 'data');
    times.push(performance.now() - sent);
  }
  socket.destroy();
}

async function frameRounds(link: number): Promise<void> {
  const socket = await open();
  const reader = v1.reader(65_536);
  const next = async () => {
    for (;;) {
      const message = reader.next();
      if (message) return message;
      const [chunk] = (await once(socket, 'data')) as [Buffer];
      reader.push(chunk);
    }
  };
  const deviceId = `device-${link}`;
  const options = { token: undefined, keepalive: undefined, frameBytesMax: undefined };
  socket.write(encode({ type: TYPE.HELLO, version: 1, deviceId, ...options }));
  await next();
  for (let id = 1; id <= share; id += 1) {
    const sent = performance.now();
    socket.write(encode({ type: TYPE.REQUEST, id, topic: 'door.badge', payload, meta: {} }));
    const reply = await next();
    if (reply.type !== TYPE.REPLY || reply.id !== id || reply.status !== 0) {
      throw new Error(`not the reply to ${id}: ${JSON.stringify(reply)}`);
    }
    times.push(performance.now() - sent);
  }
  socket.destroy();
}

const start = performance.now();
const rounds = mode === 'frames' ? frameRounds : bareRounds;
await Promise.all(Array.from({ length: Number(links) }, (_, link) => rounds(link)));
const seconds = (performance.now() - start) / 1_000;
times.sort((a, b) => a - b);
const at = (share: number) => (times[Math.floor(times.length * share)] ?? 0) * 1_000;
process.send?.({ rounds: times.length, seconds, p50: at(0.5), p99: at(0.99) } satisfies Rounds);
