/** The supervisor's part of a reload, with children that do what a test wants. */
import t, { type Test } from 'tap';
import { EXIT } from '../../src/base/errors.ts';
import type { Deed } from '../helpers/fakes/fakeChild.ts';
import { isChild, readyPid, startFake } from '../helpers/fakes/fakeNode.ts';
import type { Cli, LogLine } from '../helpers/processes/cli.ts';
import { waitFor } from '../helpers/waitFor.ts';

interface Next {
  readonly deeds?: Record<string, Deed>;
  /** Acceptors, or why not. */
  readonly proof?: string;
  readonly before?: Record<string, Deed>;
}

/** A node that has started, and what a reload of it would find. */
async function started(t: Test, acceptors: number, next: Next) {
  const { deeds = {}, proof, before = {} } = next;
  const env = {
    FAKE_NEXT: JSON.stringify(deeds),
    ...(proof === undefined ? {} : { FAKE_PROOF: proof }),
  };
  // Only who is to be late is not waited for: a busy machine starts processes slowly.
  const isLate = Object.values(deeds).some((deed) => deed === 'late' || deed === 'waits');
  const ready = isLate ? 'childReadyMs=3s' : 'childReadyMs=25s';
  const cli = startFake(t, acceptors, before, [ready], env);
  await cli.said('ready');
  return cli;
}

/** Resolves with the line that says how it ended, and what was said meanwhile. */
async function reload(cli: Cli): Promise<{ end: LogLine; lines: readonly LogLine[] }> {
  const seen = cli.lines.length;
  cli.process.kill('SIGHUP');
  const end = await cli.line(({ msg }) => /^reload (done|refused)$/.test(`${msg}`), seen);
  return { end, lines: cli.lines.slice(seen) };
}

const begun = (lines: readonly LogLine[]) =>
  lines.filter(({ msg }) => msg === 'fake begun').map(({ role, index }) => `${role} ${index}`);
const steps = (lines: readonly LogLine[]) =>
  lines.flatMap(({ msg }) => (msg?.startsWith('reload: ') ? [msg.slice('reload: '.length)] : []));

const isHeard = ({ msg, index }: LogLine, of: number) => msg === 'fake heard' && index === of;

t.test('in order: registrar, each acceptor, observer; it can be done again', async (t) => {
  const cli = await started(t, 2, {});

  const { end, lines } = await reload(cli);

  t.same(begun(lines), ['registrar 0', 'acceptor 1', 'acceptor 2', 'observer 0']);
  t.match(end, { msg: 'reload done', audit: 'reload', by: 'SIGHUP', reload: 1 });
  t.match(end, { moved: 10, left: 2, drained: 4 });
  t.same(
    steps(lines).filter((step) => step !== 'links have moved'),
    [
      'proving what is on disk',
      'registrar',
      ...['acceptor 1 starting', 'acceptor 1 moving', 'acceptor 1 ending'],
      ...['acceptor 2 starting', 'acceptor 2 moving', 'acceptor 2 ending'],
      'observer',
    ],
  );
  t.equal(lines.filter(({ msg }) => msg === 'fake gone').length, 2, 'each successor is told');
  t.notOk(lines.some(({ msg }) => msg === 'child crashed' || msg === 'restarting child'));
  for (const index of [1, 2]) {
    const isEnd = (one: LogLine) => isHeard(one, index) && one.phase === 'done';
    await cli.line(isEnd);
    const phases = cli.lines.filter((one) => isHeard(one, index)).map(({ phase }) => phase);
    t.ok(phases.includes('acceptors'), 'acceptors hear of it, and of its end');
  }
  t.match((await reload(cli)).end, { msg: 'reload done', reload: 2 });
  t.same(await cli.end(), { code: 0, signal: null });
});

t.test('a second one while one is under way is not done', async (t) => {
  const cli = await started(t, 1, { deeds: { 1: 'waits' } });
  cli.process.kill('SIGHUP');
  await cli.said('reload: acceptor 1 starting');

  cli.process.kill('SIGHUP');

  t.match(await cli.said('a reload is under way already'), { by: 'SIGHUP' });
  t.same(await cli.end(), { code: 0, signal: null }, 'and a stop ends all');
  t.match(await cli.said('reload refused'), { reason: 'the node is stopping' });
});

t.test('refused: by the proof; no process is touched', async (t) => {
  const cli = await started(t, 1, { proof: 'the config is wrong' });
  const { end, lines } = await reload(cli);
  t.match(end, { msg: 'reload refused', reason: 'the config is wrong' });
  t.same(begun(lines), []);
  t.same(await cli.end(), { code: 0, signal: null });
});

const WRONG: readonly [string, Record<string, Deed>, RegExp, readonly string[]][] = [
  [
    'a registrar that crashes',
    { registrar: 'crash' },
    /the new registrar did not start/,
    ['registrar'],
  ],
  [
    'a registrar that cannot go on',
    { registrar: 'fatal' },
    /registrar cannot go on/,
    ['registrar'],
  ],
  [
    'an observer that crashes',
    { observer: 'crash' },
    /the new observer did not start/,
    ['observer'],
  ],
  ['an acceptor that crashes', { 1: 'crash' }, /the new acceptor 1 did not start/, []],
  ['an acceptor that says why it cannot', { 1: 'fatal' }, /acceptor 1 cannot go on/, []],
  ['an acceptor that does not get ready', { 1: 'late' }, /it was late/, []],
  ['an acceptor that waits too long for others', { 1: 'waits' }, /it was late/, []],
];
for (const [what, deeds, reason, back] of WRONG) {
  t.test(`refused: ${what}; the old code goes on`, async (t) => {
    const cli = await started(t, 1, { deeds });
    const acceptor = await readyPid(cli, 'acceptor 1');

    const { end, lines } = await reload(cli);

    t.match(end, { msg: 'reload refused', reason });
    const after = cli.lines.length - lines.length;
    for (const child of back) {
      const isOld = (line: LogLine) =>
        line.msg === 'fake begun' && line.role === child && line.isNext === false;
      await cli.line(isOld, after);
    }
    if (!back.includes('observer')) {
      t.doesNotThrow(() => process.kill(acceptor, 0), 'its acceptor was not touched');
    }
    t.notOk(cli.lines.some(({ msg }) => msg === 'stopping'));
    t.same(await cli.end(), { code: 0, signal: null });
  });
}

t.test('a successor that ends while links move: the predecessor goes on', async (t) => {
  const cli = await started(t, 2, { deeds: { 2: 'crash-moving' } });
  const second = await readyPid(cli, 'acceptor 2');

  const { end } = await reload(cli);

  t.match(end, { msg: 'reload refused', reason: /acceptor 2 ended while links moved to it/ });
  await cli.line(({ msg, index }) => msg === 'fake gone' && index === 2);
  t.doesNotThrow(() => process.kill(second, 0));
  t.notOk(cli.lines.some(isChild('acceptor 2', 'restarting child')), 'its place is taken');
  t.same(await cli.end(), { code: 0, signal: null });
});

for (const child of ['acceptor 1', 'registrar', 'observer']) {
  t.test(`a new ${child} that ends soon: what ran before is there again`, async (t) => {
    const isAcceptor = child === 'acceptor 1';
    const deeds = isAcceptor ? { 1: 'crash-moved' } : { [child]: 'crash-soon' };
    // Acceptor 2 is on its way meanwhile.
    const waits = child === 'observer' ? {} : { 2: 'waits' };
    const cli = await started(t, 2, { deeds: { ...deeds, ...waits } as Record<string, Deed> });

    cli.process.kill('SIGHUP');

    const isBack = ({ msg, role, index, isNext }: LogLine) =>
      msg === 'fake begun' && isNext === false && `${role} ${index}`.startsWith(child);
    const back = await cli.line(isBack, cli.lines.length);
    const said = 'what was reloaded does not work: starting what ran before it';
    t.ok(cli.lines.some(isChild(child, said)));
    t.ok(back);
    if (child !== 'observer') {
      const reason = new RegExp(`the new ${child} ended soon after it had begun`);
      t.match(await cli.said('reload refused'), { reason });
    }
    t.notOk(cli.lines.some(({ msg }) => msg === 'stopping'));
    t.same(await cli.end(), { code: 0, signal: null });
  });
}

t.test('a predecessor that ends while links move: its successor is there', async (t) => {
  const cli = await started(t, 2, { before: { 1: 'crash-leaving' } });

  const { end, lines } = await reload(cli);

  t.match(end, { msg: 'reload done' });
  t.ok(lines.some(({ msg, index }) => msg === 'fake gone' && index === 1));
  t.notOk(lines.some(isChild('acceptor 1', 'restarting child')));
  t.same(await cli.end(), { code: 0, signal: null });
});

/** Resolves when this acceptor has begun thrice: at first, by the reload, after its crash. */
async function again(cli: Cli, index: number): Promise<void> {
  const isIt = (line: LogLine) => line.msg === 'fake begun' && line.index === index;
  await waitFor('it begins again', () => cli.lines.filter(isIt).length === 3);
}

t.test('one of those that stay ends while links come to it: the others take them', async (t) => {
  const cli = await started(t, 3, { proof: '2', deeds: { 2: 'crash-following' } });

  const { end, lines } = await reload(cli);

  t.match(end, { msg: 'reload done' });
  t.ok(lines.some(isChild('acceptor 3', 'child ended')));
  await again(cli, 2);
  t.same(await cli.end(), { code: 0, signal: null });
});

t.test('the only one that stays ends while links come to it', async (t) => {
  const cli = await started(t, 2, { proof: '1', deeds: { 1: 'crash-following' } });
  const second = await readyPid(cli, 'acceptor 2');

  const { end } = await reload(cli);

  t.match(end, { msg: 'reload refused', reason: /acceptor 1 ended while links moved to it/ });
  t.doesNotThrow(() => process.kill(second, 0), 'the other one has them still');
  await again(cli, 1);
  t.same(await cli.end(), { code: 0, signal: null });
});

t.test('more acceptors, and fewer', async (t) => {
  const more = await started(t, 1, { proof: '3' });
  const { lines } = await reload(more);
  t.same(begun(lines), ['registrar 0', 'acceptor 1', 'acceptor 2', 'acceptor 3', 'observer 0']);
  t.same(await more.end(), { code: 0, signal: null });

  const fewer = await started(t, 3, { proof: '1' });
  const after = await reload(fewer);
  t.match(after.end, { msg: 'reload done' });
  t.same(begun(after.lines), ['registrar 0', 'acceptor 1', 'observer 0']);
  t.equal(after.lines.filter(({ msg }) => msg === 'fake follows').length, 2, 'of two more');
  t.equal(after.lines.filter(({ msg }) => msg === 'fake gone').length, 3);
  t.ok(after.lines.some(isChild('acceptor 3', 'child ended')));
  const seen = fewer.lines.length;
  process.kill(await readyPid(fewer, 'acceptor 1', seen - after.lines.length), 'SIGKILL');
  const again = ({ msg, index }: LogLine) => msg === 'fake begun' && index === 1;
  t.match(await fewer.line(again, seen), { isNext: true }, 'a crash starts what was reloaded');
  t.same(await fewer.end(), { code: EXIT.ok, signal: null });
});
