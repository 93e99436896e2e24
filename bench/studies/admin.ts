/**
 * Admin: what does scraping /metrics hard cost the acceptors for each message?
 * One node, many silent links, a fleet that exchanges requests at a constant rate; autocannon
 * scrapes. Stretches with and without it take turns, and the ratio is of pairs. `--scrape-rate 0`
 * scrapes as fast as it can, which on few cores mostly takes the processor from others.
 * `node bench/studies/admin.ts [--links 100000] [--runs 5] [--seconds 15] [--scrape-rate 500]
 *   [--connections 10] [--rate 1000] [--connect-rate 2000]`: --rate requests a second.
 */
import { createRequire } from 'node:module';
import { setTimeout as pause } from 'node:timers/promises';
import {
  acceptorPids,
  Fleet,
  LINKS_PER_PROCESS,
  type Node,
  perAcceptor,
  type Span,
  sourcesFor,
  startNode,
  untilLinks,
} from '../lib/fleet.ts';
import { cpuUsOf, loadAverages } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { heading, ratios, row, type Spread, spread, sum } from '../lib/stats.ts';

const { links, runs, seconds, rate, ...scraping } = options({
  ...{ links: 100_000, runs: 5, seconds: 15, rate: 1_000 },
  ...{ connections: 10, scrapeRate: 500, connectRate: 2_000 },
});
const TALKERS = 1_000;
/** The goal: the median pair's change of CPU-µs per message. */
const CHANGE_MAX = 0.05;
const processes = Math.max(2, Math.ceil(links / LINKS_PER_PROCESS));
/** Until the garbage of so many connects has been collected and the talkers' code is compiled. */
const SETTLE_MS = 20_000;
/** loadgen's log knows whole seconds: neighbours do not share one. */
const APART_MS = 1_500;
/** Longer than any stretch: autocannon is stopped at its end. */
const SCRAPE_SECONDS = 600;

interface Stretch {
  /** Of all acceptors, for each message. */
  readonly cpuUs: number;
  readonly observerPercent: number;
  readonly scrapesPerSecond: number;
  readonly span: Span;
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

/** Scrapes until `stop`, from this process, which has nothing else to do meanwhile. */
function scrape({ server }: Node): Scraper {
  const { connections, scrapeRate } = scraping;
  return autocannon({
    url: `http://127.0.0.1:${server.adminPort}/metrics`,
    connections,
    duration: SCRAPE_SECONDS,
    ...(scrapeRate === 0 ? {} : { overallRate: scrapeRate }),
  });
}

async function scraped(scraper: Scraper): Promise<number> {
  scraper.stop();
  const { duration, errors, non2xx, '2xx': answered } = await scraper;
  if (errors + non2xx > 0) throw new Error(`${errors} errors and ${non2xx} refusals of scrapes`);
  return answered / duration;
}

async function measure(node: Node, isScraped: boolean): Promise<Stretch> {
  const { server } = node;
  const pids = acceptorPids(server, processes);
  const cpu = () => cpuUsOf(pids);
  const observerCpu = () => cpuUsOf([server.childPid('observer')]);
  const scraper = isScraped ? scrape(node) : undefined;
  await pause(APART_MS);
  const [fromS, before, observerBefore] = [Date.now() / 1_000, cpu(), observerCpu()];
  await pause(seconds * 1_000);
  const [toS, after, observerAfter] = [Date.now() / 1_000, cpu(), observerCpu()];
  const passed = toS - fromS;
  const scrapesPerSecond = scraper ? await scraped(scraper) : 0;
  return {
    cpuUs: (after - before) / (rate * passed),
    observerPercent: (observerAfter - observerBefore) / passed / 10_000,
    scrapesPerSecond,
    span: [fromS, toS],
  };
}

/** Silent links, and those that talk, at their rate. */
async function fill(node: Node): Promise<{ sleepers: Fleet; talkers: Fleet }> {
  const { server } = node;
  const connect = ['--connect-rate', String(scraping.connectRate), '--connect-timeout', '600s'];
  const sleepers = new Fleet(server, [
    ...['--devices', String(links), '--workers', String(processes), ...connect],
    ...['--source', sourcesFor(links), '--keepalive', '3600s', '--device-prefix', 'idle-'],
    ...['--rate', '0', '--duration', '24h'],
  ]);
  await untilLinks(node, links);
  const talkers = new Fleet(server, [
    ...['--devices', String(TALKERS), '--source', '127.0.1.1', '--device-prefix', 'talk-'],
    ...['--rate', String(rate), '--duration', '24h'],
  ]);
  await untilLinks(node, links + TALKERS);
  await pause(SETTLE_MS);
  return { sleepers, talkers };
}

async function reportSkew({ server }: Node): Promise<void> {
  const each = await perAcceptor(server, 'links');
  const max = await perAcceptor(server, 'links_max');
  const mean = sum(each) / each.length;
  console.log(heading(`${sum(each)} links in ${each.length} acceptors`));
  console.log(row('links of an acceptor', spread(each)));
  console.log(row('skew', spread(each.map((count) => count / mean)), 'of the mean'));
  const fullness = each.map((count, index) => (100 * count) / (max[index] ?? Number.NaN));
  console.log(row('fullness', spread(fullness), '% of links_max'));
}

function report(quiet: Stretch[], loud: Stretch[], talkers: Fleet): void {
  const of = (stretches: Stretch[], name: 'cpuUs' | 'observerPercent' | 'scrapesPerSecond') =>
    stretches.map((stretch) => stretch[name]);
  const p99s = (stretches: Stretch[]): Spread =>
    spread(
      stretches.map(({ span }) => talkers.roundTrips([span]).getValueAtPercentile(99) / 1_000),
    );
  const change = ratios(of(loud, 'cpuUs'), of(quiet, 'cpuUs'));
  console.log(heading(`/metrics under autocannon, ${rate} requests a second`));
  console.log(row('scrapes a second', spread(of(loud, 'scrapesPerSecond'))));
  console.log(row('quiet    CPU-µs per message', spread(of(quiet, 'cpuUs')), 'of all acceptors'));
  console.log(row('scraped  CPU-µs per message', spread(of(loud, 'cpuUs')), 'of all acceptors'));
  console.log(row('         ratio', change));
  console.log(row('quiet    observer', spread(of(quiet, 'observerPercent')), '% of a core'));
  console.log(row('scraped  observer', spread(of(loud, 'observerPercent')), '% of a core'));
  console.log(row('quiet    round trip', p99s(quiet), 'ms p99'));
  console.log(row('scraped  round trip', p99s(loud), 'ms p99'));
  const percent = (100 * (change.median - 1)).toFixed(1);
  const isMet = Math.abs(change.median - 1) < CHANGE_MAX;
  console.log(`${isMet ? 'met   ' : 'MISSED'}  CPU per message: ${percent} % (goal: below 5)`);
}

console.log(`node ${process.version}, load averages ${loadAverages().join(' ')}`);
const node = await startNode({ acceptors: processes });
try {
  const { sleepers, talkers } = await fill(node);
  await reportSkew(node);
  const quiet: Stretch[] = [];
  const loud: Stretch[] = [];
  for (let run = 0; run < runs; run += 1) {
    for (const isScraped of run % 2 === 0 ? [false, true] : [true, false]) {
      (isScraped ? loud : quiet).push(await measure(node, isScraped));
    }
  }
  const [{ counts, selfCheck }] = await Promise.all([talkers.end(), sleepers.end()]);
  const percentLate = (100 * selfCheck.lateShare).toFixed(1);
  report(quiet, loud, talkers);
  console.log(
    `${counts.replies} replies to ${counts.requests} requests, ${percentLate} % sent late`,
  );
  console.log(`load averages ${loadAverages().join(' ')}`);
} finally {
  await node.stop();
}
