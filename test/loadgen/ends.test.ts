/** How a run ends when something ends it: a signal, a dead worker, a server that goes away. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import t from 'tap';
import { IGNORED_SIGNALS } from '../../src/base/signals.ts';
import { ScriptedServer } from './scriptedServer.ts';
import { spawnRun } from './spawn.ts';

/** A server that answers, and a run against it. */
async function underLoad(...flags: string[]) {
  const server = new ScriptedServer();
  const port = await server.listen();
  return { server, ...(await spawnRun(['--target', `127.0.0.1:${port}`, ...flags])) };
}

/** Resolves when that has been read of `stream` from now on. */
function says(stream: Readable | null, wanted: RegExp): Promise<void> {
  return new Promise((resolve) => {
    let text = '';
    stream?.on('data', (more) => {
      text += more;
      if (wanted.test(text)) resolve();
    });
  });
}

t.test('run: Ctrl-C ends it soon, with a full report and exit 130', async (t) => {
  const { server, child, interrupt, ended } = await underLoad(
    ...['--devices', '500', '--rate', '500', '--duration', '60s', '--workers', '2'],
  );
  await server.taken(500);

  const start = performance.now();
  interrupt();
  const { exitCode, report, stdout } = await ended;
  const tookMs = performance.now() - start;
  await server.close();

  t.ok(tookMs < 10_000, `of 60 s left, ${Math.round(tookMs)} ms`);
  t.equal(exitCode, 130);
  t.equal(report?.ended.how, 'interrupted');
  t.ok((report?.counts.replies ?? 0) >= 400);
  t.match(stdout, /FAILED \(exit 130\): interrupted after/);
  t.equal(child.killed, true);
});

t.test('run: a load that outlasts the longest timer goes on until Ctrl-C', async (t) => {
  const { server, interrupt, ended } = await underLoad(
    ...['--devices', '20', '--rate', '200'],
    ...['--duration', '8760h', '--timeout', '100ms'],
  );
  await Promise.race([server.taken(400), ended]);

  interrupt();
  const { report } = await ended;
  await server.close();

  t.equal(report?.ended.how, 'interrupted');
});

function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return (
          readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1]?.split(' ')[1] === `${pid}`
        );
      } catch {
        return false;
      }
    })
    .map(Number);
}

t.test('run: a worker that dies fails the run with its reason, and the rest reports', async (t) => {
  const { server, child, ended } = await underLoad(
    ...['--devices', '20', '--rate', '100'],
    ...['--duration', '60s', '--workers', '2'],
  );
  await server.taken(50);

  const [victim = 0] = childrenOf(child.pid ?? 0);
  process.kill(victim, 'SIGKILL');
  const { exitCode, report } = await ended;
  await server.close();

  t.equal(exitCode, 96);
  t.equal(report?.ended.how, 'worker-died');
  t.match(report?.ended.why, new RegExp(`worker [12] \\(pid ${victim}\\) died: SIGKILL`));
  t.ok((report?.counts.replies ?? 0) > 0);
});

t.test('run: a server that vanishes is reported, not hung on', async (t) => {
  const { server, ended } = await underLoad(
    ...['--devices', '20', '--rate', '100'],
    ...['--duration', '60s', '--give-up', '2s', '--reconnect', '100ms-300ms', '--allow', 'cut'],
  );
  await server.taken(50);

  await server.close();
  const { exitCode, report } = await ended;

  t.equal(exitCode, 97);
  t.match(report?.ended.why, /vanished: since second \d+ no link was open/);
  t.ok((report?.labelled.connectErrors.ECONNREFUSED ?? 0) > 0);
  t.ok((report?.counts.skipped ?? 0) > 0, 'what nobody could send is counted');
});

t.test(
  'run: a signal that is not to stop it ends nothing, in no process; SIGQUIT does',
  async (t) => {
    const { server, child, ended } = await underLoad(
      ...['--devices', '20', '--rate', '200', '--duration', '60s', '--workers', '2'],
    );
    await Promise.race([server.taken(200), ended]);
    const pid = child.pid ?? 0;
    const workers = childrenOf(pid);
    t.equal(workers.length, 2);

    const isSaid = says(child.stderr, /SIGUSR2 ignored\n/);
    for (const one of [pid, ...workers]) {
      for (const signal of ['SIGHUP', ...IGNORED_SIGNALS]) process.kill(one, signal);
    }
    const before = server.counts.requests;
    await Promise.race([server.taken(before + 200), ended]);
    t.same(childrenOf(pid), workers);
    // What came together is said in the next second.
    await Promise.race([isSaid, ended]);
    child.kill('SIGQUIT');
    const { exitCode, report, stderr } = await ended;
    await server.close();

    t.equal(exitCode, 130);
    t.equal(report?.ended.how, 'interrupted');
    t.match(stderr, /owsla-loadgen: SIGHUP ignored\n/);
    t.match(stderr, /owsla-loadgen: SIGUSR2 ignored\n/);
    t.notMatch(stderr, /Debugger/);
  },
);
