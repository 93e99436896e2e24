/** Supervisor: restarts, give-up and silence, with children that do what a test wants. */
import t from 'tap';
import { EXIT } from '../../src/base/errors.ts';
import { isChild, readyPid, startFake } from '../helpers/fakes/fakeNode.ts';
import type { LogLine } from '../helpers/processes/cli.ts';

t.test(
  'a killed acceptor is restarted at once, with a new incarnation; others are not',
  async (t) => {
    const cli = startFake(t, 2);
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
  const cli = startFake(t, 1);
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
  const cli = startFake(t, 2, { 2: 'crash' }, ['restartsMax=3']);

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
  const cli = startFake(t, 1, { 1: 'end' }, ['restartsMax=1']);
  t.equal((await cli.exited).code, EXIT.crashed);
  t.equal(cli.lines.filter(isChild('acceptor 1', 'restarting child')).length, 1);
});

t.test('a child that says it cannot go on stops the node with its sentence and code', async (t) => {
  const cli = startFake(t, 2, { 2: 'fatal' });
  t.same(await cli.exited, { code: EXIT.config, signal: null });
  t.equal(cli.stderr, 'owsla: acceptor 2 cannot go on\n');
});

t.test('a child that is not ready within childReadyMs is killed and restarted', async (t) => {
  const cli = startFake(t, 1, { 1: 'late' }, ['childReadyMs=1s', 'restartsMax=1']);
  t.match(await cli.line(isChild('acceptor 1', 'killing child')), {
    reason: 'late',
  });
  t.match(await cli.line(isChild('acceptor 1', 'child crashed')), {
    signal: 'SIGKILL',
  });
  t.equal((await cli.exited).code, EXIT.crashed);
});

t.test('a child that waits for others, with heartbeats, is not late', async (t) => {
  const cli = startFake(t, 2, { 1: 'waits', 2: 'late' }, ['childReadyMs=1s', 'restartsMax=3']);
  // The other one was late again and again by then.
  t.equal((await cli.exited).code, EXIT.crashed);
  t.notOk(cli.lines.some(isChild('acceptor 1', 'killing child')));
});

t.test('a child that is silent for childSilenceMs is killed and restarted', async (t) => {
  const cli = startFake(t, 1, { 1: 'silent' }, ['childSilenceMs=2s', 'restartsMax=1']);
  t.match(await cli.line(isChild('acceptor 1', 'killing child')), {
    reason: 'silent',
  });
  t.match(await cli.line(isChild('acceptor 1', 'child crashed')), {
    signal: 'SIGKILL',
  });
  t.equal((await cli.exited).code, EXIT.crashed);
});

t.test('time in which the supervisor itself was stopped is no child’s silence', async (t) => {
  const cli = startFake(t, 1, {}, ['childSilenceMs=2s']);
  await cli.said('ready');

  process.kill(cli.pid, 'SIGSTOP');
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  process.kill(cli.pid, 'SIGCONT');
  // A later decision of the supervisor: it has looked at its children by then.
  process.kill(await readyPid(cli, 'observer'), 'SIGKILL');
  await cli.line(isChild('observer', 'child ready'), cli.lines.length);

  t.notOk(cli.lines.some(({ msg }) => msg === 'killing child'));
});

for (const helper of ['registrar', 'observer'] as const) {
  t.test(
    `the ${helper}'s crash loop does not end the node: it is tried ever more seldom`,
    async (t) => {
      const limits = ['restartsMax=2', 'restartWindowMs=1h', 'helperPauseMaxMs=1500ms'];
      const cli = startFake(t, 2, { [helper]: 'crash' }, limits);
      const restarts = () => cli.lines.filter(isChild(helper, 'restarting child'));

      await cli.line((line) => isChild(helper, 'restarting child')(line) && line.afterMs === 1_500);

      t.same(
        restarts().map(({ afterMs }) => afterMs),
        [0, 50, 1_000, 1_500],
      );
      t.equal(
        cli.lines.filter(isChild(helper, 'child keeps crashing: continuing without it')).length,
        1,
      );
      t.notOk(cli.lines.some((line) => isChild('acceptor 1', 'child ended')(line)));
      t.same(await cli.end(), { code: 0, signal: null });
    },
  );

  t.test(`the ${helper}'s ends are no acceptor's: each has an intensity of its own`, async (t) => {
    const limits = ['restartsMax=2', 'restartWindowMs=1h', 'helperPauseMaxMs=100ms'];
    const cli = startFake(t, 1, {}, limits);
    await cli.said('ready');
    for (let kills = 0; kills < 6; kills += 1) {
      const pid = Number(cli.lines.findLast(isChild(helper, 'child ready'))?.childPid);
      const seen = cli.lines.length;
      process.kill(pid, 'SIGKILL');
      await cli.line(isChild(helper, 'child ready'), seen);
    }
    const seen = cli.lines.length;
    process.kill(await readyPid(cli, 'acceptor 1'), 'SIGKILL');

    t.match(await cli.line(isChild('acceptor 1', 'restarting child'), seen), { afterMs: 0 });
    t.same(await cli.end(), { code: 0, signal: null });
  });

  for (const deed of ['fatal-later', 'fatal-serving-later'] as const) {
    t.test(`the ${helper} cannot go on after a restart (${deed}): it is tried again`, async (t) => {
      const limits = ['restartsMax=1', 'restartWindowMs=1h', 'helperPauseMaxMs=100ms'];
      const cli = startFake(t, 1, { [helper]: deed }, limits);
      await cli.said('ready');
      process.kill(await readyPid(cli, helper), 'SIGKILL');

      const isTold = (line: LogLine) => line.why === `${helper} cannot go on`;
      for (let seen = 0, times = 0; times < 3; times += 1) {
        await cli.line((line) => isChild(helper, 'child crashed')(line) && isTold(line), seen);
        seen = cli.lines.length;
      }
      t.equal(cli.stderr, '');
      t.same(await cli.end(), { code: 0, signal: null });
    });
  }

  t.test(`the ${helper} cannot go on at the start: the node ends with its sentence`, async (t) => {
    const cli = startFake(t, 1, { [helper]: 'fatal' });

    t.same(await cli.exited, { code: EXIT.config, signal: null });
    t.equal(cli.stderr, `owsla: ${helper} cannot go on\n`);
  });
}

t.test('an acceptor that cannot go on after a restart ends the node', async (t) => {
  const cli = startFake(t, 1, { 1: 'fatal-later' });
  await cli.said('ready');
  process.kill(await readyPid(cli, 'acceptor 1'), 'SIGKILL');

  t.same(await cli.exited, { code: EXIT.config, signal: null });
  t.equal(cli.stderr, 'owsla: acceptor 1 cannot go on\n');
});
