/** Supervisor: signals and the order of a stop, with children that do what a test wants. */
import t from 'tap';
import { isChild, startFake } from '../helpers/fakes/fakeNode.ts';
import { isThere } from '../helpers/processes/cli.ts';
import { waitFor } from '../helpers/waitFor.ts';

t.test(
  'SIGTERM and SIGINT drain every child and exit 0; registrar and observer last',
  async (t) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const cli = startFake(t, 3);
      await cli.said('ready');
      const children = cli.children();

      t.same(await cli.end(signal), { code: 0, signal: null }, signal);

      const ended = cli.lines.filter(({ msg }) => msg === 'child ended');
      t.equal(ended.length, 5);
      t.same(
        ended.slice(-2).map(({ child }) => child),
        ['registrar', 'observer'],
      );
      t.equal(cli.stderr, '');
      t.notOk(children.some(isThere));
    }
  },
);

t.test('a child that does not end within the drain’s time is killed', async (t) => {
  const quick = ['drainMs=0', 'drainPaceMs=0', 'lingerMs=10ms'];
  const cli = startFake(t, 2, { 1: 'stubborn' }, quick);
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
    const cli = startFake(t, 2, { '*': 'stubborn' });
    await cli.said('ready');
    const children = cli.children();
    cli.process.kill('SIGTERM');
    await cli.said('stopping');
    // Less than this apart, two signals are one: npm passes Ctrl-C on a second time.
    await new Promise((resolve) => setTimeout(resolve, 400));

    cli.process.kill('SIGINT');

    t.same(await cli.exited, { code: 130, signal: null });
    t.equal(children.length, 4);
    // SIGKILL takes effect when the kernel lets a process run: on a busy machine not at once.
    await waitFor('the end of every child', () => !children.some(isThere));
    t.match(
      cli.lines.at(-1),
      { msg: 'ending at once' },
      'their ends are not told: some are not seen',
    );
  },
);

t.test(
  'a second signal while a child waits for its restart: it is not started any more',
  async (t) => {
    const deeds = { observer: 'crash', '*': 'stubborn' } as const;
    const cli = startFake(t, 1, deeds, ['restartsMax=8', 'restartWindowMs=1h']);
    await cli.line(isChild('acceptor 1', 'child ready'));
    // A pause much longer than the two signals are apart.
    await cli.line((line) => line.msg === 'restarting child' && Number(line.afterMs) >= 3_000);
    cli.process.kill('SIGTERM');
    await cli.said('stopping');
    await new Promise((resolve) => setTimeout(resolve, 400));

    cli.process.kill('SIGINT');

    t.same(await cli.exited, { code: 130, signal: null });
    const last = cli.lines.findIndex(({ msg }) => msg === 'ending at once');
    t.same(cli.lines.slice(last + 1), [], 'nothing is begun, or said, after that');
  },
);

t.test('the echo of a signal does not cut the drain short', async (t) => {
  const cli = startFake(t, 2);
  await cli.said('ready');
  cli.process.kill('SIGINT');
  cli.process.kill('SIGTERM');
  t.same(await cli.exited, { code: 0, signal: null });
});
