/**
 * How many messages a second the load tool sends and checks on one core, against a trivial echo
 * server on another: `node bench/loadgenRate.ts [RATE...]`. A rate is held when at most 1 % of
 * its messages leave late; the CPU time per message says what a core could do at best.
 */
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { spawnRun } from '../test/loadgen/spawn.ts';

const DEVICES = 200;
const SECONDS = 8;
const LATE_SHARE_MAX = 0.01;
const rates = process.argv.slice(2).map(Number).filter(Boolean);
if (rates.length === 0) rates.push(10_000, 20_000, 30_000);

/** Keep a process on one core. Without taskset (not Linux) it goes where it likes. */
function pin(pid: number, core: number): void {
  try {
    execFileSync('taskset', ['-a', '-p', '-c', String(core), String(pid)], { stdio: 'ignore' });
  } catch {
    console.log('taskset is missing: nothing is pinned');
  }
}

const core = { tool: 0, echo: Math.min(1, availableParallelism() - 1) };
const echo = fork(new URL('../test/loadgen/echoProcess.ts', import.meta.url));
const [port] = (await once(echo, 'message')) as [number];
pin(echo.pid ?? 0, core.echo);
console.log(`${cpus()[0]?.model}, ${availableParallelism()} cores, Node ${process.version}`);

for (const rate of rates) {
  const before = loadavg()[0] ?? 0;
  const { child, ended } = await spawnRun([
    ...['--target', `127.0.0.1:${port}`, '--devices', String(DEVICES), '--quiet'],
    ...['--rate', String(rate), '--duration', `${SECONDS}s`],
  ]);
  // Its worker inherits the place.
  pin(child.pid ?? 0, core.tool);
  const { report, stderr } = await ended;
  if (report === undefined) throw new Error(stderr);
  const { lateShare, workers } = report.honesty;
  const cpuUs = (1_000 * (workers[0]?.cpuMs ?? 0)) / report.counts.requests;
  const denied = (workers[0]?.deniedMs ?? 0) / (workers[0]?.wallMs ?? 1);
  const held = lateShare <= LATE_SHARE_MAX && report.ok;
  console.log(
    `${rate}/s: ${report.counts.requests} sent, ${report.counts.replies} checked, ` +
      `${(100 * lateShare).toFixed(2)} % late, ${cpuUs.toFixed(1)} us CPU per message and reply, ` +
      `without a core ${(100 * denied).toFixed(0)} % of the time, ` +
      `p50 ${report.times.request.p50} ms, p99 ${report.times.request.p99} ms, ` +
      `load average before ${before.toFixed(1)}: ${held ? 'held' : 'NOT held'}`,
  );
}
echo.disconnect();
