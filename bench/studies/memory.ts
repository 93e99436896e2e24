/**
 * Memory: how much memory does an idle open link cost an acceptor?
 * As an operator sees it: RSS of a real node's process over that of the same process empty, with no
 * garbage collection asked for. A slow ramp beside a storm, each in fresh nodes, and then filling
 * and emptying one again and again. `--hold`: seconds until RSS is read, a keepalive and more.
 * `node bench/studies/memory.ts [--links 15000] [--runs 3] [--cycles 5] [--hold 75]
 *   [--ramp-rate 300] [--cycle-rate 700]`
 */
import { setTimeout as pause } from 'node:timers/promises';
import { empty, Fleet, type Node, sourcesFor, startNode, untilLinks } from '../lib/fleet.ts';
import { loadAverages, rssBytesOf } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { heading, ratios, row, spread } from '../lib/stats.ts';

const { links, runs, cycles, hold, rampRate, cycleRate } = options({
  ...{ links: 15_000, runs: 3, cycles: 5, hold: 75, rampRate: 300, cycleRate: 700 },
});
/** The goals: bytes a link, storm over ramp, the last cycle over the first. */
const LINK_BYTES_MAX = 6_000;
const STORM_RATIO_MAX = 1.1;
const CYCLE_RATIO_MAX = 1.1;
/** An empty acceptor that was just started, or just emptied, settles first. */
const SETTLE_MS = 10_000;

const RAMP = ['--connect-rate', String(rampRate)];
/** Who is refused in the storm comes back soon. */
const STORM = ['--storm', '--reconnect', '1s-2s'];
const STEADY = ['--connect-rate', String(cycleRate)];

const rssOf = ({ server }: Node) => rssBytesOf([server.childPid('acceptor 1')]);
const mib = (bytes: number) => bytes / 1_048_576;

/** Fills the node; resolves when all links have been open for the hold. */
async function fill(node: Node, how: readonly string[]): Promise<Fleet> {
  const { server } = node;
  const fleet = new Fleet(server, [
    ...['--devices', String(links), '--source', sourcesFor(links), ...how, '--workers', '2'],
    ...['--keepalive', '60s', '--rate', '0', '--duration', '24h', '--connect-timeout', '300s'],
  ]);
  await untilLinks(node, links);
  await pause(hold * 1_000);
  const now = await server.metric('owsla_links');
  if (now !== links) throw new Error(`${now} links after the hold, not ${links}`);
  return fleet;
}

/** A fresh node, empty and full. */
async function measure(how: readonly string[]): Promise<{ before: number; full: number }> {
  const node = await startNode({ acceptors: 1 });
  try {
    await pause(SETTLE_MS);
    const before = rssOf(node);
    const fleet = await fill(node, how);
    const full = rssOf(node);
    await fleet.end();
    return { before, full };
  } finally {
    await node.stop();
  }
}

/** One node, filled and emptied again and again: its RSS at the end of each. */
async function measureCycles(): Promise<{ full: number[]; emptied: number[] }> {
  const node = await startNode({ acceptors: 1 });
  const full: number[] = [];
  const emptied: number[] = [];
  try {
    await pause(SETTLE_MS);
    for (let cycle = 0; cycle < cycles; cycle += 1) {
      const fleet = await fill(node, STEADY);
      full.push(rssOf(node));
      await empty(node, fleet);
      await pause(SETTLE_MS);
      emptied.push(rssOf(node));
    }
    return { full, emptied };
  } finally {
    await node.stop();
  }
}

function verdict(about: string, value: number, max: number, text: string): void {
  console.log(`${value <= max ? 'met   ' : 'MISSED'}  ${about}: ${text}`);
}

const ramps: { before: number; full: number }[] = [];
const storms: { before: number; full: number }[] = [];
console.log(`node ${process.version}, ${links} links, load averages ${loadAverages().join(' ')}`);
for (let run = 0; run < runs; run += 1) {
  for (const how of run % 2 === 0 ? [RAMP, STORM] : [STORM, RAMP]) {
    (how === RAMP ? ramps : storms).push(await measure(how));
  }
}
const perLink = (of: typeof ramps) => of.map(({ before, full }) => (full - before) / links);
const fulls = (of: typeof ramps) => of.map(({ full }) => mib(full));
if (runs > 0) {
  console.log(heading(`one acceptor, ${links} idle links, ${runs} fresh nodes each`));
  console.log(
    row('RSS empty', spread([...ramps, ...storms].map(({ before }) => mib(before))), 'MiB'),
  );
  console.log(row('RSS after a slow ramp', spread(fulls(ramps)), 'MiB'));
  console.log(row('RSS after a storm', spread(fulls(storms)), 'MiB'));
  console.log(row('RSS per link, slow ramp', spread(perLink(ramps)), 'bytes'));
  console.log(row('RSS per link, storm', spread(perLink(storms)), 'bytes'));
  const stormRatios = ratios(perLink(storms), perLink(ramps));
  console.log(row('  ratio', stormRatios));
  const bytes = spread(perLink(ramps)).median;
  verdict('bytes per link', bytes, LINK_BYTES_MAX, `${bytes.toFixed(0)} (${LINK_BYTES_MAX})`);
  const { median } = stormRatios;
  verdict('storm over ramp', median, STORM_RATIO_MAX, `${median.toFixed(2)} (${STORM_RATIO_MAX})`);
}

async function reportCycles(): Promise<void> {
  const { full, emptied } = await measureCycles();
  const list = (of: readonly number[]) => of.map((bytes) => mib(bytes).toFixed(0)).join(' ');
  console.log(`\nfilled and emptied ${full.length} times, RSS in MiB`);
  console.log(`filled    ${list(full)}`);
  console.log(`emptied   ${list(emptied)}`);
  for (const [name, of] of [
    ['filled', full],
    ['emptied', emptied],
  ] as const) {
    const ratio = (of.at(-1) ?? Number.NaN) / (of[0] ?? Number.NaN);
    verdict(`last over first, ${name}`, ratio, CYCLE_RATIO_MAX, `${ratio.toFixed(2)}`);
  }
}

if (cycles > 0) await reportCycles();
console.log(`load averages ${loadAverages().join(' ')}`);
