/**
 * Idle: what do links that say nothing cost the messages of those that talk?
 * One node; a fleet exchanges requests at a constant rate, while many silent links come, stay, and
 * go, again and again. Each stretch with many is set beside the ones with few around it.
 * `node bench/studies/idle.ts [--links 100000] [--few 1000] [--runs 3] [--seconds 20]
 *   [--rate 1000] [--connect-rate 1500]`: --rate requests a second.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { waitFor } from '../../test/helpers/waitFor.ts';
import {
  acceptorPids,
  Fleet,
  LINKS_PER_PROCESS,
  sourcesFor,
  startNode,
  untilLinks,
  YIELDING,
} from '../lib/fleet.ts';
import { cpuUsOf, loadAverages } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { heading, ratios, row, spread } from '../lib/stats.ts';

const { links, few, runs, seconds, rate, connectRate } = options({
  ...{ links: 100_000, few: 1_000, runs: 3, seconds: 20, rate: 1_000, connectRate: 1_500 },
});
const TALKERS = 1_000;
/** The goal: the median's change of CPU-µs per message. */
const CHANGE_MAX = 0.05;
const acceptors = Math.ceil((links + TALKERS) / LINKS_PER_PROCESS);
const DEADLINE_MS = 600_000;
/** Until the garbage of so many connects, or ends, has been collected. */
const SETTLE_MS = 20_000;

const node = await startNode({ acceptors });
const { server } = node;
const linksNow = () => server.metric('owsla_links');
const answered = () => server.metric('owsla_deliveries_total', 'fate="sent"');

function fleet(prefix: string, devices: number, flags: readonly string[]): Fleet {
  const workers = String(Math.ceil(devices / LINKS_PER_PROCESS));
  const who = ['--devices', String(devices), '--device-prefix', prefix, '--workers', workers];
  return new Fleet(server, [...who, '--duration', '24h', ...flags], YIELDING);
}

/** Silent for longer than any stretch, so that no PING is counted. */
async function idle(prefix: string, devices: number): Promise<Fleet> {
  const before = await linksNow();
  const connect = ['--connect-rate', String(connectRate), '--connect-timeout', '600s'];
  const flags = ['--rate', '0', '--keepalive', '3600s', '--source', sourcesFor(devices, 3)];
  const sleepers = fleet(prefix, devices, [...flags, ...connect]);
  await untilLinks(node, before + devices);
  return sleepers;
}

/** CPU-µs of all acceptors for each answered request, once what was before is over. */
async function measure(): Promise<number> {
  await pause(SETTLE_MS);
  const pids = acceptorPids(server, acceptors);
  const cpu = () => cpuUsOf(pids);
  const [before, from] = [cpu(), await answered()];
  await pause(seconds * 1_000);
  return (cpu() - before) / ((await answered()) - from);
}

console.log(`node ${process.version}, load averages ${loadAverages().join(' ')}`);
try {
  const talkers = fleet('talk-', TALKERS, ['--rate', String(rate), '--source', '127.0.1.1']);
  const rest = await idle('few-', few);
  await waitFor('the fleet to have warmed up', async () => (await answered()) > 20_000);
  const little = [await measure()];
  const much: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const sleepers = await idle('many-', links - few);
    much.push(await measure());
    await sleepers.end();
    await waitFor('their ends', async () => (await linksNow()) <= few + TALKERS, DEADLINE_MS);
    little.push(await measure());
    console.log(JSON.stringify({ few: little.at(-1), many: much.at(-1) }));
  }
  await Promise.all([rest.end(), talkers.end()]);
  const around = much.map((_, run) => ((little[run] ?? 0) + (little[run + 1] ?? 0)) / 2);
  const change = ratios(much, around);
  console.log(heading(`${rate} round trips a second in ${acceptors} acceptors`));
  console.log(row(`${few} idle links`, spread(little), 'CPU-µs a round trip'));
  console.log(row(`${links} idle links`, spread(much), 'CPU-µs a round trip'));
  console.log(row('ratio', change));
  const isMet = change.median - 1 < CHANGE_MAX;
  const percent = (100 * (change.median - 1)).toFixed(1);
  console.log(`${isMet ? 'met   ' : 'MISSED'}  idle links' part: ${percent} % (goal: below 5)`);
  console.log(`load averages ${loadAverages().join(' ')}`);
} finally {
  await node.stop();
}
