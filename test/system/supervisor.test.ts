/** Supervisor: real processes; children that do what a test wants (test/helpers/fakeChild.ts). */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { EXIT } from '../../src/errors.ts';
import { Cli, isThere, type LogLine } from '../helpers/cli.ts';
import type { Deed } from '../helpers/fakeChild.ts';

const script = join(import.meta.dirname, '../helpers/superviseFake.ts');

function start(
  t: Test,
  acceptors: number,
  deeds: Record<string, Deed> = {},
  limits: readonly string[] = [],
): Cli {
  const env = { FAKE_CHILD: JSON.stringify(deeds) };
  const quick = ['heartbeatChildMs=100', 'restartWindowMs=30s', ...limits];
  const cli = new Cli([String(acceptors), ...quick], { env, script });
  t.teardown(() => cli.destroy());
  return cli;
}

const isChild =
  (child: string, msg: string) =>
  (line: LogLine): boolean =>
    line.msg === msg && line.child === child;

/** The pid of a child when it is ready for the nth time. */
async function readyPid(cli: Cli, child: string, after = 0): Promise<number> {
  return Number((await cli.line(isChild(child, 'child ready'), after)).childPid);
}

t.test(
  'a killed acceptor is restarted at once, with a new incarnation; others are not',
  async (t) => {
    const cli = start(t, 2);
    await cli.said('ready');
    const before = await cli.line(isChild('acceptor 1', 'child ready'));
    const seen = cli.lines.length;

    process.kill(Number(before.childPid), 'SIGKILL');

    const crash = await cli.line(isChild('acceptor 1', 'child crashed'), seen);
    t.match(crash, {
      level: 'error',
      code: null,
      signal: 'SIGKILL',
      uptimeMs: Number,
    });
    t.match(crash, { incarnation: before.incarnation });
    t.match(await cli.line(isChild('acceptor 1', 'restarting child'), seen), {
      afterMs: 0,
    });
    const after = await cli.line(isChild('acceptor 1', 'child ready'), seen);
    t.not(after.incarnation, before.incarnation);
    t.notOk(cli.lines.some((line) => line.msg === 'child crashed' && line.child === 'acceptor 2'));
    t.same(await cli.end(), { code: 0, signal: null });
  },
);

t.test('the line about a crash has the last figures of the child', async (t) => {
  const cli = start(t, 1);
  const pid = await readyPid(cli, 'acceptor 1');
  await cli.said('ready');
  const observer = await readyPid(cli, 'observer');
  // The observer's restart shows that beats of the acceptor have been read since it was ready.
  process.kill(observer, 'SIGKILL');
  await readyPid(cli, 'observer', cli.lines.length);

  process.kill(pid, 'SIGKILL');

  const crash = await cli.line(isChild('acceptor 1', 'child crashed'));
  t.match(crash.figures, { links: 1 });
});

t.test('beyond the restart intensity it gives up: one sentence, exit 1, all drained', async (t) => {
  const cli = start(t, 2, { 2: 'crash' }, ['restartsMax=3']);

  t.same(await cli.exited, { code: EXIT.crashed, signal: null });
  t.match(
    cli.stderr,
    /^owsla: gave up: acceptor 2 ended again after 3 restarts within 30 s; .*\n$/,
  );
  t.equal(cli.lines.filter(isChild('acceptor 2', 'restarting child')).length, 3);
  t.match(await cli.line(isChild('acceptor 1', 'child ended')), { code: 0 });
  t.match(await cli.line(isChild('observer', 'child ended')), { code: 0 });
});

t.test('a permanent child that ends by itself with code 0 is restarted too', async (t) => {
  const cli = start(t, 1, { 1: 'end' }, ['restartsMax=1']);
  t.equal((await cli.exited).code, EXIT.crashed);
  t.equal(cli.lines.filter(isChild('acceptor 1', 'restarting child')).length, 1);
});

t.test('a child that says it cannot go on stops the node with its sentence and code', async (t) => {
  const cli = start(t, 2, { 2: 'fatal' });
  t.same(await cli.exited, { code: EXIT.config, signal: null });
  t.equal(cli.stderr, 'owsla: acceptor 2 cannot go on\n');
});

t.test('a child that is not ready within childReadyMs is killed and restarted', async (t) => {
  const cli = start(t, 1, { 1: 'late' }, ['childReadyMs=1s', 'restartsMax=1']);
  t.match(await cli.line(isChild('acceptor 1', 'killing child')), {
    reason: 'late',
  });
  t.match(await cli.line(isChild('acceptor 1', 'child crashed')), {
    signal: 'SIGKILL',
  });
  t.equal((await cli.exited).code, EXIT.crashed);
});

t.test('a child that is silent for childSilenceMs is killed and restarted', async (t) => {
  const cli = start(t, 1, { 1: 'silent' }, ['childSilenceMs=2s', 'restartsMax=1']);
  t.match(await cli.line(isChild('acceptor 1', 'killing child')), {
    reason: 'silent',
  });
  t.match(await cli.line(isChild('acceptor 1', 'child crashed')), {
    signal: 'SIGKILL',
  });
  t.equal((await cli.exited).code, EXIT.crashed);
});

t.test('time in which the supervisor itself was stopped is no child’s silence', async (t) => {
  const cli = start(t, 1, {}, ['childSilenceMs=2s']);
  await cli.said('ready');

  process.kill(cli.pid, 'SIGSTOP');
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  process.kill(cli.pid, 'SIGCONT');
  // A later decision of the supervisor: it has looked at its children by then.
  process.kill(await readyPid(cli, 'observer'), 'SIGKILL');
  await cli.line(isChild('observer', 'child ready'), cli.lines.length);

  t.notOk(cli.lines.some(({ msg }) => msg === 'killing child'));
});

t.test('SIGTERM and SIGINT drain every child and exit 0; the observer goes last', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const cli = start(t, 3);
    await cli.said('ready');
    const children = cli.children();

    t.same(await cli.end(signal), { code: 0, signal: null }, signal);

    const ended = cli.lines.filter(({ msg }) => msg === 'child ended');
    t.equal(ended.length, 4);
    t.equal(ended.at(-1)?.child, 'observer');
    t.equal(cli.stderr, '');
    t.notOk(children.some(isThere));
  }
});

t.test('a child that does not end within the drain’s time is killed', async (t) => {
  const quick = ['drainMs=0', 'drainPaceMs=0', 'lingerMs=10ms'];
  const cli = start(t, 2, { 1: 'stubborn' }, quick);
  await cli.said('ready');

  t.same(await cli.end(), { code: 0, signal: null });

  t.match(await cli.line(isChild('acceptor 1', 'killing child')), {
    reason: 'overrun',
  });
  t.match(await cli.line(isChild('acceptor 2', 'child ended')), { code: 0 });
});

t.test(
  'a second signal kills the children and ends at once, with 128 and its number',
  async (t) => {
    const cli = start(t, 2, { '*': 'stubborn' });
    await cli.said('ready');
    const children = cli.children();
    cli.process.kill('SIGTERM');
    await cli.said('stopping');
    // Less than this apart, two signals are one: npm passes Ctrl-C on a second time.
    await new Promise((resolve) => setTimeout(resolve, 400));

    cli.process.kill('SIGINT');

    t.same(await cli.exited, { code: 130, signal: null });
    t.equal(children.length, 3);
    t.notOk(children.some(isThere));
  },
);

t.test('the echo of a signal does not cut the drain short', async (t) => {
  const cli = start(t, 2);
  await cli.said('ready');
  cli.process.kill('SIGINT');
  cli.process.kill('SIGTERM');
  t.same(await cli.exited, { code: 0, signal: null });
});
