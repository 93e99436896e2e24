/**
 * Admin: what scraping /metrics hard, with autocannon, costs the acceptors per round trip.
 * Runs with and without scraping take turns on one node; the ratio is of pairs.
 * `--rate 0` scrapes as fast as it can, which on few cores mostly takes the processor from others.
 * `node bench/admin.ts [--runs 5] [--rounds 20000] [--idle 2000] [--connections 10] [--rate 500]`
 */
import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { parseArgs, promisify } from 'node:util';
import { forgetTopology } from '../test/helpers/backend.ts';
import { findBroker } from '../test/helpers/broker.ts';
import { Server } from '../test/helpers/server.ts';
import type { Rounds } from './clientRounds.ts';
import { runClient } from './processes.ts';
import { heading, ratios, row, spread } from './stats.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '20000' },
    idle: { type: 'string', default: '2000' },
    connections: { type: 'string', default: '10' },
    rate: { type: 'string', default: '500' },
  },
});
const runs = Number(values.runs);
/** Longer than a run: autocannon is stopped when the run is over. */
const SCRAPE_SECONDS = 600;
const LINKS = '100';

interface Costs {
  /** Of both acceptors, per round trip. */
  readonly cpuUs: number;
  readonly p99: number;
  readonly scrapesPerSecond: number;
}

/** The part of autocannon's result that is read here; it has no types of its own. */
interface Scrapes {
  readonly duration: number;
  readonly '2xx': number;
  readonly non2xx: number;
  readonly errors: number;
}

interface Scraper extends Promise<Scrapes> {
  stop(): void;
}
interface ScrapeOptions {
  readonly url: string;
  readonly connections: number;
  readonly duration: number;
  readonly overallRate?: number;
}
type Autocannon = (options: ScrapeOptions) => Scraper;
const autocannon = createRequire(import.meta.url)('autocannon') as Autocannon;

const ticksPerSecond = Number((await promisify(execFile)('getconf', ['CLK_TCK'])).stdout);

/** User and system time of a process, from proc(5). */
function cpuUs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) / ticksPerSecond) * 1e6;
}

function acceptorsCpuUs(server: Server): number {
  const pids = ['acceptor 1', 'acceptor 2'].map((child) => server.childPid(child));
  const each = pids.map(cpuUs);
  return each.reduce((sum, us) => sum + us, 0);
}

/** Scrapes until `stop`, from this process, which has nothing else to do meanwhile. */
function scrape(server: Server): Scraper {
  const url = `http://127.0.0.1:${server.adminPort}/metrics`;
  const rate = Number(values.rate);
  return autocannon({
    url,
    connections: Number(values.connections),
    duration: SCRAPE_SECONDS,
    ...(rate === 0 ? {} : { overallRate: rate }),
  });
}

async function scraped(scraper: Scraper): Promise<Scrapes> {
  scraper.stop();
  const scrapes = await scraper;
  const { errors, non2xx } = scrapes;
  if (errors + non2xx > 0) throw new Error(`${errors} errors and ${non2xx} refusals of scrapes`);
  return scrapes;
}

async function measure(server: Server, isScraped: boolean): Promise<Costs> {
  const scraper = isScraped ? scrape(server) : undefined;
  const before = acceptorsCpuUs(server);
  const args = ['frames', String(server.port), LINKS, values.rounds];
  const { rounds, p99 } = await runClient<Rounds>('./clientRounds.ts', args);
  const cost = acceptorsCpuUs(server) - before;
  const scrapes = scraper ? await scraped(scraper) : undefined;
  const scrapesPerSecond = scrapes ? scrapes['2xx'] / scrapes.duration : 0;
  return { cpuUs: cost / rounds, p99, scrapesPerSecond };
}

const broker = await findBroker();
const prefix = `bench-${process.pid}`;
const backend = fork(new URL('./backendEcho.ts', import.meta.url), [broker.url, prefix]);
await once(backend, 'message');
const server = await Server.start({ amqp: broker.url, prefix, limits: { scrapeMs: 1_000 } });
const idle = ['frames', String(server.port), values.idle, '127.0.0.2'];
const fleet = fork(new URL('./clientIdle.ts', import.meta.url), idle);
try {
  await once(fleet, 'message');
  await measure(server, false);
  const quiet: Costs[] = [];
  const loud: Costs[] = [];
  for (let run = 0; run < runs; run += 1) {
    for (const isScraped of run % 2 === 0 ? [false, true] : [true, false]) {
      (isScraped ? loud : quiet).push(await measure(server, isScraped));
    }
  }
  const column = (of: Costs[], name: keyof Costs) => of.map((costs) => costs[name]);
  console.log(heading(`/metrics under autocannon, ${values.idle} idle links`));
  console.log(row('scrapes a second', spread(column(loud, 'scrapesPerSecond'))));
  for (const [name, unit] of [
    ['cpuUs', 'acceptor CPU-µs per round trip'],
    ['p99', 'µs p99'],
  ] as const) {
    console.log(row(`quiet    ${unit}`, spread(column(quiet, name))));
    console.log(row(`scraped  ${unit}`, spread(column(loud, name))));
    console.log(row('         ratio', ratios(column(loud, name), column(quiet, name))));
  }
} finally {
  fleet.kill('SIGKILL');
  backend.kill('SIGKILL');
  await server.stop();
  await forgetTopology(broker.url, prefix);
  await broker.stop();
}
