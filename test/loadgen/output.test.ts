/** What a run leaves behind: page, HDR log, metrics, comparison; mixes and scenario files. */
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { HistogramLogReader } from 'hdr-histogram-js';
import t, { type Test } from 'tap';
import { noPromtool } from '../helpers/processes/programs.ts';
import { ScriptedServer } from './scriptedServer.ts';
import { runToEnd, spawnRun } from './spawn.ts';

const run = promisify(execFile);
const CLI = fileURLToPath(new URL('../../loadgen/cli.ts', import.meta.url));

async function serving(t: Test): Promise<string> {
  const server = new ScriptedServer();
  const port = await server.listen();
  t.teardown(() => server.close());
  return `127.0.0.1:${port}`;
}

t.test('output: the HDR log reads back to the same percentiles as the report', async (t) => {
  const target = await serving(t);
  const file = join(t.testdir(), 'run.hlog');
  const { report } = await runToEnd([
    ...['--target', target, '--quiet', '--devices', '20', '--rate', '300', '--duration', '3s'],
    ...['--hdr', file],
  ]);

  const reader = new HistogramLogReader(readFileSync(file, 'utf8'), 32);
  let sum: ReturnType<typeof reader.nextIntervalHistogram> = null;
  for (let next = reader.nextIntervalHistogram(); next !== null; ) {
    if (next.tag === 'request') {
      if (sum === null) sum = next;
      else sum.add(next);
    }
    next = reader.nextIntervalHistogram();
  }
  t.equal(sum?.totalCount, 900);
  t.equal((sum?.getValueAtPercentile(99) ?? 0) / 1_000, report?.times.request.p99);
});

t.test('output: metrics of the running load can be scraped', async (t) => {
  const target = await serving(t);
  const { child, interrupt, ended } = await spawnRun([
    ...['--target', target, '--devices', '20', '--rate', '100', '--duration', '0'],
    ...['--prometheus-port', '0'],
  ]);
  const url = await new Promise<string>((resolve) => {
    child.stderr?.on('data', (text: string) => {
      const found = /metrics at (\S+)/.exec(text)?.[1];
      if (found !== undefined) resolve(found);
    });
  });
  let page = '';
  while (!/counts_total\{name="replies"\} [1-9]/.test(page)) page = await (await fetch(url)).text();

  interrupt();
  const { exitCode } = await ended;

  t.match(page, /owsla_loadgen_links 20/);
  t.match(page, /owsla_loadgen_bottleneck [01]\n/);
  t.match(page, /owsla_loadgen_violations_total\{violation="lost"\} 0/);
  t.match(page, /owsla_loadgen_time_seconds\{time="request",percentile="p99"\} 0\.\d+/);
  t.equal(exitCode, 0, 'Ctrl-C is how an endless run ends');
  // Where promtool is missing, the node's page says that it is skipped.
  if (!noPromtool) {
    const judged = spawnSync('promtool', ['check', 'metrics'], { input: page, encoding: 'utf8' });
    t.same([judged.stderr, judged.status], ['', 0]);
  }
});

t.test('output: compare sets two reports side by side and names other plans', async (t) => {
  const target = await serving(t);
  const folder = t.testdir();
  const [a, b] = [join(folder, 'a.json'), join(folder, 'b.json')];
  for (const [file, rate] of [
    [a, '50'],
    [b, '100'],
  ] as const) {
    const flags = ['--devices', '5', '--rate', rate, '--duration', '1s'];
    const { report } = await runToEnd(['--target', target, '--quiet', ...flags]);
    writeFileSync(file, JSON.stringify(report));
  }

  const { stdout } = await run(process.execPath, [CLI, 'compare', a, b]);

  t.match(stdout, /the plans differ:\n {2}plan\.rate: .*"from":50.* \/ .*"from":100/);
  t.match(stdout, /requests\/s +50 +100 +2\.00/);
  t.match(stdout, /round trip p99 ms/);
  const failed = { ...JSON.parse(readFileSync(a, 'utf8')), exitCode: 98, failures: ['lost: 3'] };
  writeFileSync(a, JSON.stringify(failed));
  t.match((await run(process.execPath, [CLI, 'compare', a, b])).stdout, /^a FAILED .*lost: 3$/m);
  writeFileSync(b, '{}');
  await t.rejects(run(process.execPath, [CLI, 'compare', a, b]), /not a report of owsla-loadgen/);
});

t.test('output: a mix lives by its intervals, and a seed repeats the run', async (t) => {
  const target = await serving(t);
  const flags = ['--devices', '100', '--mix', 'thermostat=60,door=40', '--stage', '2s@x30'];
  const [first, again, other] = [
    await runToEnd(['--target', target, '--quiet', ...flags]),
    await runToEnd(['--target', target, '--quiet', ...flags]),
    await runToEnd(['--target', target, '--quiet', '--seed', '2', ...flags]),
  ];

  // 60 thermostats every 60 s, 30 times as fast, for 2 s: each reports exactly once.
  t.equal(first.report?.counts.events, 60);
  const doors = first.report?.counts.requests ?? 0;
  t.ok(doors > 80 && doors < 160, `40 doors about every 20 s: ${doors} of 120`);
  t.equal(again.report?.counts.requests, doors);
  t.not(other.report?.counts.requests, doors);
});

t.test('output: think times close the loop: nobody sends before the answer', async (t) => {
  const target = await serving(t);
  const { report, exitCode } = await runToEnd([
    ...['--target', target, '--quiet', '--devices', '50'],
    ...['--think', '200ms', '--duration', '3s'],
  ]);

  const expected = (50 * 3_000) / 200;
  const sent = report?.counts.requests ?? 0;
  t.equal(exitCode, 0);
  t.ok(sent > 0.8 * expected && sent < 1.15 * expected, `${sent} of about ${expected}`);
});

t.test('output: flags win over a scenario, thresholds of both hold', async (t) => {
  const target = await serving(t);
  const file = join(t.testdir(), 'mine.yaml');
  writeFileSync(file, 'options:\n  devices: 500\n  rate: 50\n  failIf: ["replies < 1000"]\n');
  const { report, exitCode } = await runToEnd([
    ...['--target', target, '--quiet', '--scenario', file, '--devices', '10', '--duration', '1s'],
  ]);

  t.equal(report?.plan.devices, 10);
  t.equal(report?.counts.requests, 50);
  t.equal(exitCode, 99);
  t.match(report?.failures, ['threshold replies < 1000: it is 50']);
});
