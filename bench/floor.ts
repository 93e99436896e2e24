/**
 * Owsla beside its floor: CPU-µs per round trip and RSS per idle link, ratios of runs in pairs.
 * The same backend, broker, payload, links and number of rounds; who goes first alternates.
 * `node bench/floor.ts [--runs 5] [--rounds 20000] [--links 100] [--idle 4000]`
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { findBroker } from '../test/helpers/processes/broker.ts';
import type { Rounds } from './clientRounds.ts';
import { runClient, Server } from './processes.ts';
import { heading, ratios, row, spread } from './stats.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '20000' },
    links: { type: 'string', default: '100' },
    idle: { type: 'string', default: '4000' },
  },
});
const runs = Number(values.runs);

interface Contender {
  readonly name: string;
  readonly file: string;
  readonly mode: 'frames' | 'bare';
}
const OWSLA: Contender = { name: 'owsla', file: './serverOwsla.ts', mode: 'frames' };
const FLOOR: Contender = { name: 'floor', file: './serverFloor.ts', mode: 'bare' };
const BARE: Contender = { name: 'bare net', file: './serverBare.ts', mode: 'bare' };

interface RoundCosts {
  readonly cpuUs: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

/** One fresh server process: a warm-up, then what the counted rounds cost it. */
async function measureRounds(amqp: string, prefix: string, who: Contender): Promise<RoundCosts> {
  const server = await Server.start(who.file, amqp, prefix);
  const client = (rounds: number) =>
    runClient<Rounds>('./clientRounds.ts', [
      who.mode,
      String(server.port),
      values.links,
      String(rounds),
    ]);
  await client(Number(values.rounds) / 2);
  const before = await server.usage();
  const { rounds, seconds, p50, p99 } = await client(Number(values.rounds));
  const after = await server.usage();
  await server.stop();
  return { cpuUs: (after.cpuUs - before.cpuUs) / rounds, perSecond: rounds / seconds, p50, p99 };
}

/** RSS per link, garbage collected on both sides, and the empty process. */
async function measureIdle(amqp: string, prefix: string, who: Contender) {
  const server = await Server.start(who.file, amqp, prefix);
  const warm = fork(new URL('./clientIdle.ts', import.meta.url), [
    who.mode,
    String(server.port),
    '200',
  ]);
  await once(warm, 'message');
  const before = await server.usage('collect');
  const clients = fork(new URL('./clientIdle.ts', import.meta.url), [
    who.mode,
    String(server.port),
    values.idle,
    '127.0.0.2',
  ]);
  await once(clients, 'message');
  const after = await server.usage('collect');
  warm.kill('SIGKILL');
  clients.kill('SIGKILL');
  await server.stop();
  return {
    perLink: (after.rssBytes - before.rssBytes) / Number(values.idle),
    empty: before.rssBytes / 1_048_576,
  };
}

/** Both contenders, `runs` times, taking turns at going first. */
async function interleave<R>(
  pair: readonly [Contender, Contender],
  measure: (who: Contender) => Promise<R>,
): Promise<[R[], R[]]> {
  const results: [R[], R[]] = [[], []];
  for (let run = 0; run < runs; run += 1) {
    for (const at of run % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      results[at].push(await measure(pair[at]));
    }
  }
  return results;
}

const broker = await findBroker();
const prefix = `bench-${process.pid}`;
const backend = fork(new URL('./backendEcho.ts', import.meta.url), [broker.url, prefix]);
try {
  await once(backend, 'message');
  console.log(
    `node ${process.version}, ${values.links} links, ${values.rounds} round trips, ${runs} runs each`,
  );
  const [ours, floor] = await interleave([OWSLA, FLOOR], (who) =>
    measureRounds(broker.url, prefix, who),
  );
  const column = (of: RoundCosts[], name: keyof RoundCosts) => of.map((costs) => costs[name]);
  console.log(heading('round trip device - broker - backend - device'));
  for (const [name, unit] of [
    ['cpuUs', 'server CPU-µs'],
    ['perSecond', 'a second'],
    ['p50', 'µs p50'],
    ['p99', 'µs p99'],
  ] as const) {
    console.log(row(`owsla  ${unit}`, spread(column(ours, name))));
    console.log(row(`floor  ${unit}`, spread(column(floor, name))));
    console.log(row('       ratio', ratios(column(ours, name), column(floor, name))));
  }

  const [links, bare] = await interleave([OWSLA, BARE], (who) =>
    measureIdle(broker.url, prefix, who),
  );
  console.log(heading(`idle links, ${values.idle} of them`));
  const perLink = [links.map((run) => run.perLink), bare.map((run) => run.perLink)] as const;
  console.log(row('owsla     RSS per link', spread(perLink[0]), 'bytes'));
  console.log(row('bare net  RSS per link', spread(perLink[1]), 'bytes'));
  console.log(row('          ratio', ratios(perLink[0], perLink[1])));
  console.log(row('owsla     empty', spread(links.map((run) => run.empty)), 'MiB'));
  console.log(row('bare net  empty', spread(bare.map((run) => run.empty)), 'MiB'));
} finally {
  backend.kill('SIGKILL');
  await broker.stop();
}
