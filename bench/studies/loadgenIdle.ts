/**
 * LoadgenIdle: how much memory does an idle link cost the load generator, beside a bare client?
 * Two workers of the tool with half of the links each, beside a bare `net` client. Both are
 * measured between 1,000 links per process and all, so that what a process needs anyway is in
 * neither; exits 1 when the ratio is above 1.4.
 * `node bench/studies/loadgenIdle.ts [--links 30000]`
 */
import { join } from 'node:path';
import { spawnRun } from '../../test/loadgen/spawn.ts';
import { rssBytesOf } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { sum } from '../lib/stats.ts';
import { Told } from '../lib/told.ts';

const RATIO_MAX = 1.4;
const WORKERS = 2;
const FEW = 1_000;
const { links } = options({ links: 30_000 });
const perProcess = links / WORKERS;
const ECHO = join(import.meta.dirname, '../../test/loadgen/echoProcess.ts');

/** Two servers share the port: one process may have 20,000 open files only. */
async function serve(): Promise<{ port: number; servers: Told[] }> {
  const first = new Told(ECHO);
  const port = await first.next<number>();
  const second = new Told(ECHO, [String(port)]);
  await second.next();
  return { port, servers: [first, second] };
}

/** RSS of a bare client process with so many links, after they have settled. */
async function bare(port: number, count: number): Promise<number> {
  const client = new Told('clientBare.ts', [String(port), String(count)]);
  await client.next();
  const rss = rssBytesOf([client.pid]);
  await client.stop();
  return rss;
}

/** Mean RSS of the tool's workers with so many links each. */
async function tool(port: number, count: number): Promise<number> {
  const { ended } = await spawnRun([
    ...['--target', `127.0.0.1:${port}`, '--devices', String(count * WORKERS), '--quiet'],
    ...['--workers', String(WORKERS), '--source', '127.0.0.2-127.0.0.5', '--connect-rate', '3000'],
    ...['--connect-timeout', '60s', '--duration', '5s'],
  ]);
  const { report, stderr } = await ended;
  if (report === undefined) throw new Error(stderr);
  if (report.links.openAtEnd !== count * WORKERS) {
    throw new Error(`only ${report.links.openAtEnd} links: ${JSON.stringify(report.labelled)}`);
  }
  return sum(report.selfCheck.workers.map(({ rssMaxBytes }) => rssMaxBytes)) / WORKERS;
}

const { port, servers } = await serve();
const bareLink = ((await bare(port, perProcess)) - (await bare(port, FEW))) / (perProcess - FEW);
const toolLink = ((await tool(port, perProcess)) - (await tool(port, FEW))) / (perProcess - FEW);
for (const server of servers) await server.stop();
const ratio = toolLink / bareLink;
console.log(
  `${links} idle links in ${WORKERS} workers: ${toolLink.toFixed(0)} bytes of RSS per link, bare ` +
    `net client ${bareLink.toFixed(0)}: ${ratio.toFixed(2)} times (at most ${RATIO_MAX})`,
);
process.exitCode = ratio <= RATIO_MAX ? 0 : 1;
