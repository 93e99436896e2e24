/**
 * Reload: what does a reload cost links, messages and memory of a node with many links?
 * `node bench/studies/reload.ts [--links 100000] [--talking 2000] [--rate 600] [--reloads 3]
 *   [--acceptors N] [--connect-rate 2000] [--around 15] [--set NAME=VALUE]`: --talking links send
 * --rate messages a second, half of them events, and the node is reloaded while they do; newcomers
 * connect meanwhile. --around seconds before the first reload and after the last one.
 * A pause is the longest time that one link waited for an answer, over all reloads. Exit 1 unless
 * no link was closed, no connect refused, nothing lost and no presence changed; pauses were at most
 * 250 ms (p99) and 2 s; there was at most one acceptor more at a time, and at the peak all of them
 * had at most one acceptor's memory more, that of the largest before; and a link takes afterwards
 * at most 10 % more than before. Before means: before the first reload.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { PresenceWatch } from '../../loadgen/deploy/presenceWatch.ts';
import {
  crowdOf,
  endedEarly,
  type Fleet,
  startNode,
  startSleepers,
  startTalkers,
  untilLinks,
} from '../lib/fleet.ts';
import { loadAverages, rssBytesOf, treeOf } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { sum } from '../lib/stats.ts';

const { links, talking, rate, reloads, connectRate, around, set, ...sizes } = options({
  ...{ links: 100_000, talking: 2_000, rate: 600, reloads: 3, acceptors: 0 },
  ...{ connectRate: 2_000, around: 15, set: [] as readonly string[] },
});
const crowd = crowdOf(links + talking, sizes.acceptors, talking);
const { acceptors, workers } = crowd;
const MIB = 1_048_576;
const LOOK_MS = 500;
/** Until V8 has collected the garbage of the start, or of the connects, and given it back. */
const SETTLE_MS = 20_000;

interface Sample {
  readonly at: number;
  /** Of each acceptor. */
  readonly rss: readonly number[];
  /** Of registrars and observers: in a reload there are two of each for a moment. */
  readonly helpers: number;
}

/** Processes of a node, by their titles. */
function processesOf(pid: number, isIt: (title: string) => boolean): number[] {
  return treeOf(pid).filter((one) => {
    try {
      return one !== pid && isIt(readFileSync(`/proc/${one}/cmdline`, 'utf8'));
    } catch {
      return false;
    }
  });
}

const isHelper = (title: string) => /^owsla (registrar|observer)/.test(title);
const isAcceptor = (title: string) => title.startsWith('owsla acceptor');
const acceptorsOf = (pid: number) => processesOf(pid, isAcceptor);

function rssOf(pid: number): number {
  try {
    return rssBytesOf([pid]) || 0;
  } catch {
    return 0;
  }
}

const figure = (value: number, digits = 0) =>
  value.toLocaleString('en-US', { maximumFractionDigits: digits });
const say = (name: string, text: string) => console.log(`${name.padEnd(36)}${text}`);

const faults: string[] = [];
function must(isMet: boolean, what: string): void {
  if (!isMet) faults.push(what);
}

const runDir = mkdtempSync(join(tmpdir(), 'ow-'));
const flags = ['--run-dir', runDir, ...set.flatMap((one) => ['--set', one])];
const node = await startNode({ acceptors, flags });
const { server, broker, prefix } = node;
const watch = new PresenceWatch('idle-', () => true);
let looking: NodeJS.Timeout | undefined;
try {
  say('acceptors / loadgen workers', `${acceptors} / ${workers + 1}`);
  await pause(SETTLE_MS);
  const empty = sum(acceptorsOf(server.pid).map(rssOf));
  await watch.start(broker.url, prefix);
  const sleepers = startSleepers(node, crowd, connectRate);
  const early = endedEarly(sleepers);
  await Promise.race([early, untilLinks(node, links)]);
  const before = await watch.rowsOnline(links, 120_000);
  await pause(SETTLE_MS);
  const samples: Sample[] = [];
  looking = setInterval(() => {
    const rss = acceptorsOf(server.pid).map(rssOf);
    const helpers = sum(processesOf(server.pid, isHelper).map(rssOf));
    samples.push({ at: Date.now(), rss, helpers });
  }, LOOK_MS);
  const talkers = startTalkers(node, crowd, connectRate, [
    ...['--rate', String(rate), '--event-share', '50%'],
    ...['--duration', `${around}s`, '--run-dir', runDir, '--reloads', String(reloads)],
    ...['--amqp', broker.url, '--prefix', prefix],
  ]);
  const talked = await Promise.race([early, talkers.report]);
  const idle = watch.changes(before, await watch.rows());
  clearInterval(looking);
  const slept = await sleepers.end();
  report(empty, samples, talked, slept);
  say('presence of idle links', `${idle.rows} rows changed, ${idle.events} with events`);
  must(idle.rows + idle.events === 0, 'presence of idle links changed');
  for (const { text, device } of idle.examples) say('', `${device}: ${text}`);
} finally {
  clearInterval(looking);
  await watch.stop();
  await node.stop();
  rmSync(runDir, { recursive: true, force: true });
}
say('load', `${loadAverages()}`);
for (const fault of faults) console.log(`MISSED: ${fault}`);
process.exitCode = faults.length === 0 ? 0 : 1;

type Told = Awaited<Fleet['report']>;

function report(empty: number, samples: readonly Sample[], talked: Told, slept: Told): void {
  const done = talked.deployed?.reloads ?? [];
  for (const { moved, left, drained, ms, isDone, why } of done) {
    const how = isDone ? 'done' : why;
    say(
      'reload',
      `${how}: ${moved} moved, ${left} left, ${drained} drained, ${figure(ms / 1_000, 1)} s`,
    );
  }
  must(done.length === reloads && done.every(({ isDone }) => isDone), 'a reload was not done');
  const lines = server.log.filter(({ msg }) => msg === 'reload: links have moved');
  const perSecond = lines.map(({ moved, ms }) => (1_000 * Number(moved)) / Number(ms));
  say(
    'links moved a second, of one acceptor',
    `${figure(Math.min(...perSecond))} to ${figure(Math.max(...perSecond))}`,
  );
  sayTimes(talked);
  const lost = (of: Told) => of.counts.ends - (of.labelled.ends.ours ?? 0);
  say('links closed, talking / idle', `${lost(talked)} / ${lost(slept)}`);
  must(lost(talked) + lost(slept) === 0, 'links were closed');
  say(
    'newcomers / connects refused',
    `${talked.counts.newcomers} / ${talked.counts.connectFailures}`,
  );
  must(talked.counts.connectFailures === 0, 'connects were refused');
  const wrong = Object.entries(talked.violations).filter(([, n]) => n > 0);
  say('requests / events', `${talked.counts.requests} / ${talked.counts.events}`);
  say('violations', wrong.length === 0 ? 'none' : wrong.map(([k, n]) => `${k} ${n}`).join(', '));
  must(wrong.length === 0, 'wrong answers');
  for (const { device, text } of talked.examples) say('', `${device}: ${text}`);
  sayMemory(empty, samples);
}

function sayTimes({ times: { pause, pauseBefore, request, event } }: Told): void {
  for (const [name, one] of Object.entries({ pauseBefore, pause, request, event })) {
    const of = `${figure(one.p50, 1)} / ${figure(one.p99, 1)} / ${figure(one.max, 1)} ms`;
    say(`${name} p50 / p99 / max`, of);
  }
  must(pause.p99 <= 250, 'p99 of pauses is above 250 ms');
  must(pause.max <= 2_000, 'the longest pause is above 2 s');
}

function sayMemory(empty: number, samples: readonly Sample[]): void {
  const timeOf = (msg: string, find: 'find' | 'findLast') =>
    Date.parse(String(server.log[find]((line) => line.msg === msg)?.time));
  const from = timeOf('reload: proving what is on disk', 'find');
  const to = timeOf('reload done', 'findLast');
  const first = samples.findLast(({ at }) => at < from)?.rss ?? [];
  const last = samples.findLast(({ rss }) => rss.length === acceptors)?.rss ?? [];
  const during = samples.filter(({ at }) => at >= from && at <= to);
  const peak = Math.max(...during.map(({ rss }) => sum(rss)));
  const all = links + talking;
  const [before, after] = [first, last].map((rss) => (sum(rss) - empty) / all) as [number, number];
  say('RSS of all acceptors', `${figure(sum(first) / MIB)} MiB, then ${figure(sum(last) / MIB)}`);
  say('  of an empty node', `${figure(empty / MIB)} MiB`);
  say('RSS a link, before / after', `${figure(before)} / ${figure(after)} bytes`);
  say('  ratio', figure(after / before, 3));
  must(after <= 1.1 * before, 'a link takes over 10 % more than before');
  const more = peak - sum(first);
  const one = Math.max(...first);
  say('at the peak', `${figure(more / MIB)} MiB more; one had up to ${figure(one / MIB)} before`);
  const at = during.find(({ rss }) => sum(rss) === peak);
  say('  each then', `${at?.rss.map((rss) => figure(rss / MIB)).join(' ')} MiB`);
  const helpers = Math.max(...during.map((sample) => sample.helpers)) / MIB;
  say('registrars and observers', `up to ${figure(helpers)} MiB together, not counted above`);
  const most = Math.max(...during.map(({ rss }) => rss.length));
  must(most <= acceptors + 1, 'more than one acceptor more at a time');
  must(more <= one, 'more than the memory of one acceptor more');
}
