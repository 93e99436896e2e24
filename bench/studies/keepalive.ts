/**
 * Keepalive: what do the deadlines of idle links cost, and how late are dead devices found?
 * First endpoints alone, with all links in one process; then a node whose links are silent, whose
 * links PING once in 45 s, and among these devices that fall silent for good. What a PING costs is
 * the difference of two long stretches here; pair.ts has bare `net` beside it (`--work ping`).
 * `node bench/studies/keepalive.ts [--links 100000] [--runs 5] [--seconds 15] [--silent 2000]
 *   [--connect-rate 2000] [--parts endpoints,node]`
 */
import { setTimeout as pause } from 'node:timers/promises';
import { KEEPALIVE_GRACE, LIMIT_SPECS, SHARDS, SHARDS_PER_TICK } from '../../src/base/limits.ts';
import type { Silences } from '../lib/clientSilent.ts';
import type { IdleCosts } from '../lib/endpointsIdle.ts';
import {
  acceptorPids,
  empty,
  Fleet,
  LINKS_PER_PROCESS,
  type Node,
  sourcesFor,
  startNode,
  untilLinks,
} from '../lib/fleet.ts';
import { cpuUsOf, loadAverages, US_PER_CORE_PERCENT } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { heading, row, type Spread, spread } from '../lib/stats.ts';
import { Told } from '../lib/told.ts';

const { links, runs, seconds, silent, connectRate, parts } = options({
  ...{ links: 100_000, runs: 5, seconds: 15, silent: 2_000 },
  ...{ connectRate: 2_000, parts: 'endpoints,node' },
});
/** The goal: of one core, for all acceptors together, the pings apart. */
const CORE_PERCENT_MAX = 2;
const processes = Math.max(1, Math.ceil(links / LINKS_PER_PROCESS));
/** Until the garbage of so many connects has been collected. */
const SETTLE_MS = 20_000;
/** The shortest that a device may ask for: where lateness weighs most. */
const SILENT_KEEPALIVE_S = LIMIT_SPECS.keepaliveMinMs.value / 1_000;

const percents = (us: readonly number[]) => spread(us.map((each) => each / US_PER_CORE_PERCENT));

function verdict(about: string, isMet: boolean, text: string): void {
  console.log(`${isMet ? 'met   ' : 'MISSED'}  ${about}: ${text}`);
}

function verdictOfCore(about: string, { median }: Spread): void {
  const text = `${median.toFixed(2)} % of a core (goal: ${CORE_PERCENT_MAX})`;
  verdict(about, median < CORE_PERCENT_MAX, text);
}

async function measureEndpoints(): Promise<void> {
  const none: IdleCosts[] = [];
  const full: IdleCosts[] = [];
  for (let run = 0; run < runs; run += 1) {
    for (const count of run % 2 === 0 ? [0, links] : [links, 0]) {
      const args = [String(count), String(seconds)];
      const costs = await Told.result<IdleCosts>('endpointsIdle.ts', args);
      (count === 0 ? none : full).push(costs);
    }
  }
  console.log(heading(`endpoints alone in a process, ${links} silent links`));
  console.log(row('ticks', spread(full.map(({ ticks }) => ticks)), 'a second'));
  console.log(row('ticks alone', percents(full.map(({ tickUs }) => tickUs)), '% of a core'));
  const whole = percents(full.map(({ processUs }) => processUs));
  console.log(row('whole process', whole, '% of a core'));
  const idle = percents(none.map(({ processUs }) => processUs));
  console.log(row('whole process, no link', idle, '% of a core'));
}

const acceptorsUs = ({ server }: Node) => cpuUsOf(acceptorPids(server, processes));

interface Window {
  /** Processor time of all acceptors per second, in microseconds. */
  readonly us: number;
  readonly pings: number;
}

/** So many stretches of time, one after the other. */
async function watch(node: Node): Promise<Window[]> {
  const pings = () => node.server.metric('owsla_messages_in_total', 'type="ping"');
  const windows: Window[] = [];
  for (let run = 0; run < runs; run += 1) {
    const [pingsBefore, from, before] = [await pings(), performance.now(), acceptorsUs(node)];
    await pause(seconds * 1_000);
    const passed = (performance.now() - from) / 1_000;
    const us = (acceptorsUs(node) - before) / passed;
    windows.push({ us, pings: ((await pings()) - pingsBefore) / passed });
  }
  return windows;
}

/** All links with this keepalive, open and settled. */
async function fill(node: Node, keepalive: string): Promise<Fleet> {
  const fleet = new Fleet(node.server, [
    ...['--devices', String(links), '--workers', String(processes), '--source'],
    ...[sourcesFor(links), '--connect-rate', String(connectRate), '--connect-timeout', '600s'],
    ...['--keepalive', keepalive, '--rate', '0', '--duration', '24h'],
  ]);
  await untilLinks(node, links);
  await pause(SETTLE_MS);
  return fleet;
}

/** How late silent devices were told: ms after KEEPALIVE_GRACE keepalives, the earliest first. */
async function silences({ server }: Node): Promise<number[]> {
  const args = [String(server.port), String(silent), String(SILENT_KEEPALIVE_S)];
  const { endedMs } = await Told.result<Silences>('clientSilent.ts', args);
  const dueMs = SILENT_KEEPALIVE_S * 1_000 * KEEPALIVE_GRACE;
  return endedMs.map((ms) => ms - dueMs).sort((a, b) => a - b);
}

async function measureNode(): Promise<void> {
  const node = await startNode({ acceptors: processes });
  try {
    await pause(SETTLE_MS);
    const none = await watch(node);
    const silentFleet = await fill(node, '3600s');
    const quiet = await watch(node);
    await empty(node, silentFleet);
    await fill(node, '60s');
    const pinging = await watch(node);
    const late = await silences(node);
    report(none, quiet, pinging, late);
  } finally {
    await node.stop();
  }
}

function report(none: Window[], quiet: Window[], pinging: Window[], late: number[]): void {
  const of = (windows: readonly Window[]) => windows.map(({ us }) => us);
  const base = spread(of(none)).median;
  const deadlines = percents(of(quiet).map((us) => us - base));
  const rate = spread(pinging.map(({ pings }) => pings));
  const pingUs = (spread(of(pinging)).median - spread(of(quiet)).median) / rate.median;
  console.log(heading(`a node with ${processes} acceptors, ${links} links`));
  console.log(row('acceptors’ CPU, no link', percents(of(none)), '% of a core'));
  console.log(row('acceptors’ CPU, silent links', percents(of(quiet)), '% of a core'));
  console.log(row('  the deadlines: the difference', deadlines, '% of a core'));
  console.log(row('acceptors’ CPU, keepalive 60 s', percents(of(pinging)), '% of a core'));
  console.log(row('  with PINGs', rate, `a second, ${pingUs.toFixed(0)} CPU-µs each`));
  verdictOfCore('deadlines', deadlines);

  const at = (share: number) => late[Math.floor((late.length - 1) * share)] ?? Number.NaN;
  const [first, last] = [at(0), at(1)];
  const roundMs = (SHARDS / SHARDS_PER_TICK) * LIMIT_SPECS.sweepTickMs.value;
  const found = [at(0), at(0.5), at(1)].map((ms) => (ms / 1_000).toFixed(2)).join(' / ');
  console.log(`\n${late.length} devices fell silent at a keepalive of ${SILENT_KEEPALIVE_S} s`);
  console.log(`told so ${found} s (min / median / max) after ${KEEPALIVE_GRACE} keepalives`);
  verdict('none too early', first >= 0, `${first.toFixed(0)} ms`);
  const text = `${last.toFixed(0)} ms (a round is ${roundMs} ms, timers’ rounding apart)`;
  verdict('within a quarter more than a round', last <= roundMs * 1.25, text);
}

console.log(`node ${process.version}, load averages ${loadAverages().join(' ')}`);
if (parts.includes('endpoints')) await measureEndpoints();
if (parts.includes('node')) await measureNode();
console.log(`load averages ${loadAverages().join(' ')}`);
