/**
 * Durability: what does it cost that events, and the queues of replies, survive the broker?
 * EVENT to ACK and the round trip of a REQUEST, with persistent or transient events, and Owsla's
 * own queues (replies) classic or quorum. A backend takes the events from a durable queue. The
 * variants take turns. `node bench/studies/durability.ts [--rounds 3] [--rate 1000] [--seconds 15]`
 */
import { once } from 'node:events';
import { connect } from 'amqplib';
import { Fleet, perAcceptor, startNode } from '../lib/fleet.ts';
import { cpuUsOf } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { heading, row, spread, sum } from '../lib/stats.ts';

const { rounds, rate, seconds } = options({ rounds: 3, rate: 1_000, seconds: 15 });

/** Flags of `owsla serve`, and the type of the backend's queue. */
const VARIANTS = {
  'transient, classic': { flags: ['--event-delivery', 'transient'], queue: 'classic' },
  'persistent, classic (default)': { flags: [], queue: 'classic' },
  'persistent, quorum': { flags: ['--queue-type', 'quorum'], queue: 'quorum' },
} as const;
type Variant = keyof typeof VARIANTS;
const NAMES = Object.keys(VARIANTS) as Variant[];

const FIGURES = {
  ack50: 'ms, EVENT to ACK, p50',
  ack99: 'ms, EVENT to ACK, p99',
  trip50: 'ms, round trip, p50',
  trip99: 'ms, round trip, p99',
  broker: 'µs of the broker’s CPU per message',
  server: 'µs of the acceptor’s CPU per message',
} as const;
type Figures = Record<keyof typeof FIGURES, number>;

async function measure({ flags, queue }: (typeof VARIANTS)[Variant]): Promise<Figures> {
  const node = await startNode({ acceptors: 1, flags });
  const connection = await connect(node.broker.url);
  try {
    const channel = await connection.createChannel();
    await channel.assertQueue('bench.events', {
      durable: true,
      arguments: queue === 'quorum' ? { 'x-queue-type': 'quorum' } : {},
    });
    await channel.bindQueue('bench.events', node.names.events, '#');
    await channel.prefetch(1_000);
    await channel.consume('bench.events', (message) => {
      if (message !== null) channel.ack(message);
    });
    const cpu = async () => sum(await perAcceptor(node.server, 'cpu_seconds_total')) * 1e6;
    const before = { broker: cpuUsOf([node.broker.pid]), server: await cpu() };
    const fleet = new Fleet(node.server, [
      ...['--devices', '500', '--rate', String(rate), '--event-share', '50%'],
      ...['--duration', `${seconds}s`],
    ]);
    const { counts, times } = await fleet.report;
    const messages = counts.requests + counts.events;
    return {
      ack50: times.event.p50,
      ack99: times.event.p99,
      trip50: times.request.p50,
      trip99: times.request.p99,
      broker: (cpuUsOf([node.broker.pid]) - before.broker) / messages,
      server: ((await cpu()) - before.server) / messages,
    };
  } finally {
    connection.close().catch(() => {});
    await once(connection, 'close');
    await node.stop();
  }
}

const results = Object.fromEntries(NAMES.map((name) => [name, [] as Figures[]]));
for (let round = 0; round < rounds; round += 1) {
  for (const name of NAMES) results[name]?.push(await measure(VARIANTS[name]));
}
for (const [figure, unit] of Object.entries(FIGURES) as [keyof Figures, string][]) {
  console.log(heading(unit));
  for (const name of NAMES) {
    console.log(row(name, spread((results[name] ?? []).map((run) => run[figure]))));
  }
}
