/**
 * Memory per idle link: two workers of the load tool with 30,000 links beside a bare `net` client.
 * `node bench/studies/loadgenIdle.ts [LINKS]`. Both are measured between 1,000 links per process
 * and all, so that what a process needs anyway is in neither; exits 1 when the ratio is above 1.4.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { spawnRun } from '../../test/loadgen/spawn.ts';

const RATIO_MAX = 1.4;
const WORKERS = 2;
const FEW = 1_000;
const links = Number(process.argv[2] ?? 30_000);
const perProcess = links / WORKERS;
const script = (file: string): URL => new URL(file, import.meta.url);

/** Two servers share the port: one process may have 20,000 open files only. */
async function serve(): Promise<{ port: number; servers: ChildProcess[] }> {
  const file = script('../../test/loadgen/echoProcess.ts');
  const first = fork(file);
  const [port] = (await once(first, 'message')) as [number];
  const second = fork(file, [String(port)]);
  await once(second, 'message');
  return { port, servers: [first, second] };
}

function rssBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
}

/** RSS of a bare client process with so many links, after they have settled. */
async function bare(port: number, count: number): Promise<number> {
  const child = fork(script('../lib/clientBare.ts'), [String(port), String(count)]);
  await once(child, 'message');
  const rss = rssBytes(child.pid ?? 0);
  child.disconnect();
  await once(child, 'exit');
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
  return report.selfCheck.workers.reduce((sum, { rssMaxBytes }) => sum + rssMaxBytes, 0) / WORKERS;
}

const { port, servers } = await serve();
const bareLink = ((await bare(port, perProcess)) - (await bare(port, FEW))) / (perProcess - FEW);
const toolLink = ((await tool(port, perProcess)) - (await tool(port, FEW))) / (perProcess - FEW);
for (const server of servers) server.disconnect();
const ratio = toolLink / bareLink;
console.log(
  `${links} idle links in ${WORKERS} workers: ${toolLink.toFixed(0)} bytes of RSS per link, bare ` +
    `net client ${bareLink.toFixed(0)}: ${ratio.toFixed(2)} times (at most ${RATIO_MAX})`,
);
process.exitCode = ratio <= RATIO_MAX ? 0 : 1;
