/**
 * LoadgenRate: how many messages a second can one worker of the load generator send and check?
 * One worker, so at most one core, against a trivial echo server. A rate is held when at most 1 %
 * of its messages leave late; CPU per message says what a core could do at best, and the time
 * without a core says whether the machine let the tool run at all: needs an otherwise idle machine.
 * `node bench/studies/loadgenRate.ts [--rates 10000,20000,30000] [--seconds 8]`
 */
import { availableParallelism, cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { spawnRun } from '../../test/loadgen/spawn.ts';
import { options } from '../lib/options.ts';
import { Told } from '../lib/told.ts';

const DEVICES = 200;
const LATE_SHARE_MAX = 0.01;
const { rates, seconds } = options({ rates: '10000,20000,30000', seconds: 8 });

const echo = new Told(join(import.meta.dirname, '../../test/loadgen/echoProcess.ts'));
const port = await echo.next<number>();
console.log(`${cpus()[0]?.model}, ${availableParallelism()} cores, Node ${process.version}`);

for (const rate of rates.split(',')) {
  const before = loadavg()[0] ?? 0;
  const { ended } = await spawnRun([
    ...['--target', `127.0.0.1:${port}`, '--devices', String(DEVICES), '--quiet'],
    ...['--rate', rate, '--duration', `${seconds}s`],
  ]);
  const { report, stderr } = await ended;
  if (report === undefined) throw new Error(stderr);
  const { lateShare, workers } = report.selfCheck;
  const cpuUs = (1_000 * (workers[0]?.cpuMs ?? 0)) / report.counts.requests;
  const denied = (workers[0]?.deniedMs ?? 0) / (workers[0]?.wallMs ?? 1);
  const held = lateShare <= LATE_SHARE_MAX && report.ok;
  console.log(
    `${rate}/s: ${report.counts.requests} sent, ${report.counts.replies} checked, ` +
      `${(100 * lateShare).toFixed(2)} % late, ${cpuUs.toFixed(1)} us CPU per message and reply, ` +
      `without a core ${(100 * denied).toFixed(0)} % of the time, ` +
      `p50 ${report.times.request.p50} ms, p99 ${report.times.request.p99} ms, ` +
      `busiest second ${(100 * (workers[0]?.cpuShareMax ?? 0)).toFixed(0)} % of a core, ` +
      `load average before ${before.toFixed(1)}: ${held ? 'held' : 'NOT held'}`,
  );
}
await echo.stop();
