/** --on-crash with real crashes of a real node's processes, and with commands that go wrong. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeConfig } from '../../src/base/config.ts';
import { makeLimits } from '../../src/base/limits.ts';
import type { Logger } from '../../src/base/log.ts';
import { makeSlot } from '../../src/supervisor/childSlot.ts';
import { type CrashReport, CrashReports } from '../../src/supervisor/crashReports.ts';
import { makeEdition } from '../../src/supervisor/edition.ts';
import { isThere } from '../helpers/processes/cli.ts';
import { startNode } from '../helpers/processes/node.ts';
import { waitFor } from '../helpers/waitFor.ts';

const folder = mkdtempSync(join(tmpdir(), 'owsla-crash-'));
t.teardown(() => rmSync(folder, { recursive: true }));

function reportsIn(file: string): CrashReport[] {
  try {
    const lines = readFileSync(join(folder, file), 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as CrashReport);
  } catch {
    return [];
  }
}

/** A report is there as soon as its line is whole. */
async function reported(file: string, count: number): Promise<CrashReport[]> {
  await waitFor(`${count} reports`, async () => reportsIn(file).length >= count);
  return reportsIn(file);
}

t.test('a process that is killed, breaks, or throws is reported, and comes back', async (t) => {
  const error = `new Error('planted: amqp://owsla:s3cret@broker/')`;
  const planted = `process.on('SIGUSR2', () => { throw ${error}; })`;
  const { server } = await startNode(t, {
    acceptors: 1,
    flags: [
      '--on-crash',
      `cat >> ${join(folder, 'node')}; env | cut -d= -f1 >> ${join(folder, 'env')}`,
    ],
    env: {
      NODE_OPTIONS: `--import=data:text/javascript;base64,${Buffer.from(planted).toString('base64')}`,
    },
  });
  const crash = async (child: string, signal: NodeJS.Signals) => {
    const pid = server.childPid(child);
    process.kill(pid, signal);
    await waitFor(`another ${child}`, async () => server.childPid(child) !== pid);
    return pid;
  };

  const killed = await crash('acceptor 1', 'SIGKILL');
  const broken = await crash('observer', 'SIGSEGV');
  const threw = await crash('registrar', 'SIGUSR2');

  const reports = await reported('node', 3);
  const of = (name: string) => reports.find((report) => report.process === name);
  const base = { event: 'crash', version: String, node: process.version, host: String };
  t.match(of('acceptor 1'), { ...base, pid: killed, exitCode: null, signal: 'SIGKILL' });
  t.match(of('acceptor 1'), { restarts: 0, unreported: 0, error: null, figures: { links: 0 } });
  t.match(of('observer'), { ...base, pid: broken, signal: 'SIGSEGV', log: [] });
  const thrown = of('registrar');
  t.match(thrown, { ...base, pid: threw, exitCode: 1, signal: null });
  t.match(thrown?.error, { name: 'Error', message: 'planted: amqp://owsla:***@broker/' });
  t.match(thrown?.error?.stack, /^Error: planted.*\n +at /);
  t.ok(
    thrown?.log.some((line) => line.includes('broker link up')),
    'its last lines',
  );
  t.ok(Number(thrown?.uptimeMs) > 0);
  t.notMatch(readFileSync(join(folder, 'node'), 'utf8'), 's3cret');
  t.notMatch(readFileSync(join(folder, 'env'), 'utf8'), /^OWSLA_/m, 'nor the broker’s password');
});

/** Reports of one slot, without a node; what is logged. */
function make(
  t: Test,
  onCrash: string,
  limits: { crashReportsMax?: number; crashReportMs?: number },
) {
  const said: string[] = [];
  const say = (_: object, msg: string) => void said.push(msg);
  const log = { info: say, warn: say } as unknown as Logger;
  const crashes = new CrashReports({ onCrash, limits: makeLimits(limits) }, log);
  t.teardown(() => crashes.stop());
  const slot = makeSlot('acceptor', 3, makeEdition('', makeConfig({})));
  const end = { child: { pid: 7 }, code: null, signal: 'SIGKILL', uptimeMs: 1 } as const;
  return { said, crashes, report: () => crashes.report(slot, end) };
}

t.test('a command that hangs is killed with what it started; others are counted', async (t) => {
  const file = join(folder, 'hangs');
  const limits = { crashReportsMax: 1, crashReportMs: 300 };
  const { said, crashes, report } = make(
    t,
    `cat >> ${file}; sleep 1000 & echo $! >> ${file}.pids; wait`,
    limits,
  );

  report();
  report();
  report();
  await crashes.settled();
  report();
  await crashes.settled();

  t.match(reportsIn('hangs'), [{ unreported: 0 }, { unreported: 2 }]);
  const failed = 'crash not reported: the command failed';
  const many = 'crash not reported: too many';
  t.same(said, [many, many, failed, failed]);
  const pids = readFileSync(`${file}.pids`, 'utf8').trim().split('\n').map(Number);
  t.equal(pids.length, 2);
  await waitFor('what they had started to end', () => !pids.some(isThere));
});

t.test('a command that reads nothing, or is not there, costs nothing', async (t) => {
  const { said, crashes, report } = make(t, 'exec true', {});
  report();
  await crashes.settled();
  t.same(said, ['crash reported']);

  const absent = make(t, '/no/such/command', {});
  absent.report();
  await absent.crashes.settled();
  t.same(absent.said, ['crash not reported: the command failed']);

  const none = make(t, '', {});
  none.report();
  await none.crashes.settled();
  t.same(none.said, []);
});

t.test('what a command leaves behind ends with it, and has its place until then', async (t) => {
  const file = join(folder, 'left');
  const limits = { crashReportsMax: 1, crashReportMs: 500 };
  const { said, crashes, report } = make(t, `sleep 1000 & echo $! >> ${file}`, limits);

  report();
  await waitFor('its end', async () => said.length > 0);
  report();
  await crashes.settled();

  const [left] = readFileSync(file, 'utf8').split('\n').map(Number);
  await waitFor('the end of what it left', async () => !isThere(left ?? 0));
  t.same(said, ['crash reported', 'crash not reported: too many']);
});

t.test(
  'a command that cannot be started costs nothing: too long, or no file is left',
  async (t) => {
    const long = make(t, `: ${'x'.repeat(200_000)}`, {});
    long.report();
    await long.crashes.settled();
    t.same(long.said, ['crash not reported: the command failed']);

    const files: number[] = [];
    try {
      for (;;) files.push(openSync('/dev/null', 'r'));
    } catch {
      // It is as it should be.
    }
    const none = make(t, 'exec true', {});
    none.report();
    await none.crashes.settled();
    for (const one of files) closeSync(one);
    t.same(none.said, ['crash not reported: the command failed']);
  },
);
