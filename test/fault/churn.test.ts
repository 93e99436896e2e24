/**
 * Churn: devices connect, talk and vanish, in every way that there is, over and over. Memory stays,
 * and what an acceptor holds for its links is gone with them. `make soak` takes five minutes.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { names } from '../../src/broker/topology.ts';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import { Backend, echo, forgetTopology } from '../helpers/fakes/backend.ts';
import { Device, END, event, hello, request } from '../helpers/fakes/device.ts';
import { loopbackNet } from '../helpers/loopback.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';

const ACCEPTORS = ['acceptor 1', 'acceptor 2'] as const;
const AT_ONCE = 32;
const SAMPLE_MS = 500;
const isSoak = process.env.OWSLA_SOAK !== undefined;
/**
 * Memory of the end, from `lateMs` on, is held against that of the beginning: the first minute, or
 * on a machine that is busy with other things the first lives, for until then a heap only grows to
 * what it needs.
 */
const RUN = isSoak
  ? { durationMs: 300_000, earlyMs: 60_000, earlyLives: 25_000, lateMs: 270_000, growthMax: 1.2 }
  : { durationMs: 15_000, earlyMs: 7_500, earlyLives: 5_000, lateMs: 12_500, growthMax: 1.5 };

/** What an acceptor holds for links and their messages; all of it goes with them. */
const GAUGES = [
  'links',
  'greetings',
  'connects_waiting',
  'sockets',
  'paused_links',
  'lingering',
  'requests_open',
  'confirms_waiting',
  'confirms_waiting_bytes',
];

const broker = await findBroker();
const net = loopbackNet();
const prefix = `test-${randomUUID()}`;
const at = names(prefix);
const backend = await Backend.connect(broker.url);
const server = await Server.start({ amqp: broker.url, prefix, acceptors: ACCEPTORS.length });
t.teardown(async () => {
  await server.stop();
  await backend.close();
  await forgetTopology(broker.url, prefix);
  await broker.stop();
});
await backend.on(at.requests, '#', echo);
await backend.on(at.events, '#', () => {});

/** Ways to vanish, of a device that is connected or of one that has talked. */
const WAYS: readonly ((device: Device) => void)[] = [
  ({ socket }) => void socket.end(),
  (device) => device.close(),
  ({ socket }) => void (socket as Socket).resetAndDestroy(),
  (device) => {
    device.send({ type: TYPE.BYE, reason: '', retryAfter: undefined });
    device.close();
  },
  (device) => {
    // In the middle of a frame.
    device.sendBytes(encode(event(3)).subarray(0, 7));
    device.close();
  },
  (device) => {
    // Before its messages are answered.
    device.send(request(3), event(4), request(5));
    (device.socket as Socket).resetAndDestroy();
  },
];

/** One life. Resolves when its socket is gone; rejects when it was not served. */
async function live(life: number): Promise<void> {
  // An address has 28,000 ports, and each is in TIME_WAIT for a minute.
  const device = await Device.connect(server.port, `${net}.${1 + (life % 50)}`);
  const vanish = WAYS[life % WAYS.length] as (device: Device) => void;
  const closed = once(device.socket, 'close');
  // Every seventh says half of its HELLO and never talks.
  if (life % 7 === 0) device.sendBytes(encode(hello(`life-${life}`)).subarray(0, 9));
  else await talk(device, life);
  vanish(device);
  await closed;
}

async function talk(device: Device, life: number): Promise<void> {
  device.send(hello(`life-${life}`), request(1), event(2));
  const types: Message['type'][] = [];
  for (let count = 0; count < 3; count += 1) {
    const answer = await device.next();
    if (answer === END) throw new Error(`life ${life} was cut`);
    types.push(answer.type);
  }
  const wanted = [TYPE.WELCOME, TYPE.REPLY, TYPE.ACK].toSorted();
  if (types.toSorted().join() !== wanted.join()) throw new Error(`life ${life} got ${types}`);
}

function filesOf(child: string): number {
  return readdirSync(`/proc/${server.childPid(child)}/fd`).length;
}

interface Sample {
  readonly ms: number;
  readonly lives: number;
  /** RSS of each acceptor. */
  readonly rss: readonly number[];
}

/** The most that each acceptor had in the beginning, and what it had at the end, on average. */
function memory(samples: readonly Sample[]): { early: number; late: number }[] {
  const isEarly = ({ ms, lives }: Sample) => ms <= RUN.earlyMs || lives <= RUN.earlyLives;
  return ACCEPTORS.map((_, i) => {
    const of = (some: readonly Sample[]) => some.map(({ rss }) => rss[i] ?? 0);
    const late = of(samples.filter(({ ms }) => ms >= RUN.lateMs));
    return {
      early: Math.max(...of(samples.filter(isEarly))),
      late: late.reduce((sum, rss) => sum + rss, 0) / late.length,
    };
  });
}

const MiB = 1024 * 1024;

t.test('churn: memory stays, and nothing is left of links that are gone', async (t) => {
  await live(1);
  // Before its first link there was none either.
  await server.untilMetric('owsla_accepts_total', '', (accepts) => accepts > 0);
  await server.untilMetric('owsla_sockets', '', (sockets) => sockets === 0);
  const files = ACCEPTORS.map(filesOf);
  const begin = performance.now();
  const elapsed = () => performance.now() - begin;
  let lives = 0;
  const living = Array.from({ length: AT_ONCE }, async () => {
    while (elapsed() < RUN.durationMs) {
      lives += 1;
      await live(lives);
    }
  });
  const samples: Sample[] = [];
  do {
    await pause(SAMPLE_MS);
    const rss = await Promise.all(
      ACCEPTORS.map((_, i) => server.metric('owsla_acceptor_rss_bytes', `acceptor="${i + 1}"`)),
    );
    samples.push({ ms: elapsed(), lives, rss });
  } while (elapsed() < RUN.durationMs);
  await Promise.all(living);

  for (const [i, { early, late }] of memory(samples).entries()) {
    const child = ACCEPTORS[i];
    t.comment(`${child}: ${(early / MiB).toFixed(1)} MiB, then ${(late / MiB).toFixed(1)} MiB`);
    t.ok(late <= RUN.growthMax * early, `${child}: at most ${RUN.growthMax} times as much`);
  }
  for (const gauge of GAUGES) await server.untilMetric(`owsla_${gauge}`, '', (size) => size === 0);
  await waitFor('the files of the links to be closed', () =>
    ACCEPTORS.every((child, i) => filesOf(child) <= (files[i] ?? 0)),
  );
  t.comment(`${lives} lives in ${Math.round(elapsed() / 1_000)} s`);
  // Half a HELLO and then a frame is an error of that device.
  t.same(server.complaints, [], 'the log has no complaint but of who was refused');
});
