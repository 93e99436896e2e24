/** Lines of commands as steps of Commands.tla: what happens when, and what is no trace at all. */
import t from 'tap';
import { commandedDevices, commandModule } from '../../tla/commandTrace.ts';
import { judgeCommands } from '../../tla/judge.ts';
import { whyNot } from '../../tla/tlc.ts';
import type { TraceLine } from '../../tla/trace.ts';

type Written = Omit<TraceLine, 'us' | 'process'> & { action: string; process?: string };

/** In this order; the registrar's when not said otherwise. */
const traceOf = (...lines: readonly Written[]): TraceLine[] =>
  lines.map((line, us) => ({ us, process: 'registrar', ...line }));

const START = { action: 'RegistrarStart', window: 3 };
const CAME = { action: 'Commands!Receive', key: 'a', device: 'door', isRedelivered: false };
const KEPT = { action: 'Commands!Deliver', key: 'a', isRedelivered: false, arrival: 'keep' };
const COMMIT = { action: 'Commands!Commit' };
const LOST = { action: 'Commands!ChannelLost' };

const stepsOf = (...lines: readonly Written[]) =>
  commandModule('T', traceOf(...lines), 'door').steps;
const actionsOf = (...lines: readonly Written[]) => stepsOf(...lines).map(({ action }) => action);

t.test('command trace: a kept command is delivered when it is on record', async (t) => {
  const sent = { action: 'Commands!Send', key: 'a' };

  t.same(actionsOf(START, CAME, KEPT, { action: 'Rest' }, COMMIT, sent), [
    'Rest',
    'Deliver',
    'Send',
  ]);
});

t.test('command trace: if its channel is lost meanwhile, it was delivered before', async (t) => {
  t.same(actionsOf(START, CAME, KEPT, LOST, COMMIT), ['Deliver', 'ChannelLost']);
  t.same(actionsOf(START, CAME, LOST, KEPT, COMMIT), ['Deliver', 'ChannelLost']);
});

t.test('command trace: a rolled-back transaction has not happened', async (t) => {
  t.same(actionsOf(START, CAME, KEPT, { action: 'Commands!Rollback' }), []);
});

t.test('command trace: one that its registrar did not live to commit may have', async (t) => {
  const steps = stepsOf(START, CAME, KEPT, START);

  t.same(
    steps.map(({ action, skip }) => [action, skip]),
    [
      ['Deliver', 1],
      ['RegistrarCrash', 0],
      ['RegistrarStart', 0],
    ],
  );
});

t.test('command trace: an end belongs to the step before it', async (t) => {
  const key = 'b';
  const came = { action: 'Commands!Deliver', key, device: 'door', isRedelivered: true };
  const end = { action: 'Commands!Conclude', key, type: 'expired', reason: 'unknown' };

  t.match(stepsOf(START, came, end), [{ action: 'Deliver', again: 1, end: 'unknown' }]);
});

t.test('command trace: commands of other devices are none here', async (t) => {
  const other = { ...CAME, key: 'c', device: 'gate' };
  const sent = { action: 'Commands!Send', key: 'c' };

  t.same(actionsOf(START, other, sent), []);
  t.same(commandedDevices(traceOf(START, CAME, other)), ['door', 'gate']);
});

t.test('command trace: a line that no trace can have is refused', async (t) => {
  const connect = (process: string) => ({ action: 'Connect', process });

  t.throws(() => stepsOf({ action: 'Commands!Send', key: 'a' }), /never came/);
  t.throws(() => stepsOf({ action: 'Commands!Guess', device: 'door' }), /no such action/);
  t.throws(() => stepsOf(connect('a'), connect('b')), /one acceptor at a time/);
});

/** A link moves from a to b while a command for it is on its way to a. */
function movedOn(as: string): TraceLine[] {
  const [a, b, registrar] = ['a', 'b', 'registrar'].map((process) => ({ process }));
  const link = { connection: 'c1', device: 'door' };
  const key = { key: 'x' };
  const came = { action: 'Commands!Deliver', ...key, device: 'door', isRedelivered: false };
  return traceOf(
    START,
    { action: 'Connect', ...a },
    { action: 'Accept', ...link, ...a },
    { action: 'Commands!Learn', ...link },
    { action: 'SuccessorStart', acceptor: 'b', of: 'a' },
    { action: 'Connect', ...b },
    { action: 'Offer', ...link, ...a },
    { ...came, ...registrar },
    { action: 'Adopt', ...link, ...b },
    { action: 'Go', ...link, ...a },
    { action: 'TakeGo', ...link, ...b },
    { action: 'Commands!TakeCommand', ...key, connection: 'c1', as, ...a },
    { action: 'Commands!Answer', ...key },
    { action: 'Commands!Show', device: 'door' },
    { action: 'Commands!TakeCommand', ...key, connection: 'c1', as: 'sent', ...b },
    { action: 'AcceptorExit', acceptor: 'a', process: 'supervisor' },
    { action: 'Commands!TakeAnswer', ...key, what: 'RESULT', ...b },
    { action: 'Commands!Answer', ...key },
    { action: 'Commands!Conclude', ...key, type: 'result' },
  );
}

t.test('command trace: a link that moves takes its commands along', async (t) => {
  const actions = commandModule('T', movedOn('moved'), 'door').steps.map(({ action }) => action);

  t.same(actions.slice(0, 6), ['Connect', 'Accept', 'Learn', 'Offer', 'Deliver', 'Go']);
  t.same(actions.slice(6, 10), ['TakeBehind', 'Answer', 'Show', 'TakeCommand']);
});

t.test('command trace: what is shown was sent before its line, and perhaps taken', async (t) => {
  const lines = movedOn('moved');
  const at = lines.findIndex(({ action }) => action === 'Commands!Show');
  const [show, take] = lines.slice(at, at + 2) as [TraceLine, TraceLine];
  const late = lines.with(at, { ...take, us: at }).with(at + 1, { ...show, us: at + 1 });
  const stepsOf = (all: readonly TraceLine[]) => commandModule('T', all, 'door').steps;

  t.same(stepsOf(late), stepsOf(lines));
});

const skip = (await whyNot()) ?? false;

t.test('judge: what the predecessor did not send, its successor does', { skip }, async (t) => {
  const right = await judgeCommands(movedOn('moved'), 'door');
  const wrong = await judgeCommands(movedOn('sent'), 'door');

  t.ok(right.isAccepted, String(right.unexplained));
  t.match(wrong.unexplained, /"TakeBehind".*"as":"sent"/);
});

t.test('judge: an older link knows what it was sent, and nothing else', { skip }, async (t) => {
  const process = 'acceptor';
  const door = (action: string, connection: string) => ({ action, connection, device: 'door' });
  const connect = { action: 'Connect', process };
  const send = { action: 'Commands!Send', key: 'a' };
  const take = (connection: string, as: string) => {
    return { action: 'Commands!TakeCommand', key: 'a', connection, as, process };
  };
  const come = [START, connect, { ...door('Accept', 'c1'), process }, CAME, KEPT, COMMIT];
  const sent = [door('Commands!Learn', 'c1'), send, take('c1', 'sent')];
  // The next registrar is told of the newer link when it has sent to the older.
  const newer = [START, connect, { ...door('Accept', 'c2'), process }];
  const again = [door('Commands!Learn', 'c1'), send, take('c1', 'known')];

  const right = await judgeCommands(traceOf(...come, ...sent, ...newer, ...again), 'door');
  const wrong = await judgeCommands(traceOf(...come, ...newer, ...again), 'door');

  t.ok(right.isAccepted, String(right.unexplained));
  t.match(wrong.unexplained, /"TakeCommand".*"as":"known"/);
});
