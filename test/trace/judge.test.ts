/**
 * Traces of the presence protocol, judged by TLC as behaviours of tla/Presence.tla: a right one
 * passes, wrong ones do not. They are written by hand; the format is in tla/trace.ts.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { judge, readTrace } from '../../tla/judge.ts';
import { whyNot, withConstants } from '../../tla/tlc.ts';
import { parseTrace, type TraceLine, traceModule } from '../../tla/trace.ts';

const FOLDER = import.meta.dirname;
const GOOD = join(FOLDER, 'good.ndjson');
const good = readTrace(GOOD);
/** One link moves, one is taken back, and the predecessor dies while two are on their way. */
const moved = readTrace(join(FOLDER, 'moved.ndjson'));
/** Why TLC cannot run here: then only the generator is tested. */
const skip = (await whyNot()) ?? false;

const actions = (lines: readonly TraceLine[]) =>
  traceModule('T', lines).steps.map(({ action }) => action);

/** The good trace, with one line changed or left out. */
function changed(us: number, change: Partial<TraceLine> | undefined): TraceLine[] {
  return good.flatMap((line) => {
    if (line.us !== us) return [line];
    return change === undefined ? [] : [{ ...line, ...change } as TraceLine];
  });
}

t.test('trace: what no process can log is put in where it shows', async (t) => {
  const steps = actions(good);

  t.equal(steps.filter((action) => action === 'AcceptorStart').length, 2);
  t.same(steps.slice(0, 2), ['AcceptorStart', 'Connect']);
  t.equal(steps.filter((action) => action === 'RegistrarCrash').length, 1);
  t.equal(steps[steps.indexOf('ExitSeen') - 1], 'AcceptorExit');
});

t.test(
  'trace: a rolled-back batch has not happened, and a committed one happens then',
  async (t) => {
    const lines: TraceLine[] = [
      { us: 1, process: 'a', action: 'Accept', connection: 'c', device: 'd' },
      { us: 2, process: 'r', action: 'Up', connection: 'c', device: 'd', seq: 1 },
      { us: 3, process: 'r', action: 'Rollback' },
      { us: 4, process: 'r', action: 'Up', connection: 'c', device: 'd', seq: 1 },
      { us: 5, process: 'a', action: 'StreamLost' },
      { us: 6, process: 'r', action: 'Commit' },
    ];

    t.same(actions(lines), ['AcceptorStart', 'Accept', 'StreamLost', 'Up']);
  },
);

t.test('trace: a batch that its registrar did not live to commit may have happened', async (t) => {
  const { steps } = traceModule('T', [
    { us: 0, process: 'r', action: 'RegistrarStart' },
    { us: 1, process: 'a', action: 'Accept', connection: 'c', device: 'd' },
    { us: 2, process: 'r', action: 'Up', connection: 'c', device: 'd', seq: 1 },
    { us: 3, process: 'r', action: 'Up', connection: 'c', device: 'd' },
    { us: 4, process: 's', action: 'RegistrarStart' },
  ]);

  t.same(
    steps.map(({ action, skip }) => [action, skip]),
    [
      ['AcceptorStart', 0],
      ['Accept', 0],
      ['Up', 2],
      ['Up', 0],
      ['RegistrarCrash', 0],
      ['RegistrarStart', 0],
    ],
  );
});

t.test(
  'trace: links are ordered by when they were accepted, not by when they opened',
  async (t) => {
    const { steps } = traceModule('T', [
      { us: 8, process: 'a', action: 'Accept', connection: 'c', device: 'd', acceptedUs: 5 },
      { us: 9, process: 'a', action: 'Accept', connection: 'e', device: 'd', acceptedUs: 4 },
    ]);

    t.same(
      steps.flatMap(({ tick }) => Number(tick ?? 0) || []),
      [2, 1],
    );
  },
);

t.test('trace: a last line that was cut off by a kill is left out', async (t) => {
  const text = readFileSync(GOOD, 'utf8');

  t.equal(parseTrace(text.slice(0, -20)).length, good.length - 1);
  t.throws(() => parseTrace('{"us": 1\n{"us": 2}\n'));
});

t.test('trace: a line that no trace can have is refused, not overlooked', async (t) => {
  t.throws(() => traceModule('T', [{ us: 1, process: 'r', action: 'Update' }]), /no such action/);
  t.throws(
    () => traceModule('T', [{ us: 1, process: 'a', action: 'End', connection: 'c' }]),
    /never accepted/,
  );
});

t.test('models: a constant that a configuration does not have is a mistake', async (t) => {
  t.equal(withConstants('CONSTANTS\n  A = 1\n', { A: '2' }), 'CONSTANTS\n  A = 2\n');
  t.throws(() => withConstants('CONSTANTS\n  A = 1\n', { B: '2' }), /no constant B/);
});

t.test(
  'judge: a trace with crashes, a takeover and an ended acceptor is a behaviour',
  { skip },
  async (t) => {
    const { isAccepted, explained, steps, unexplained } = await judge(good);

    t.ok(isAccepted, String(unexplained));
    t.equal(explained, steps);
  },
);

t.test('judge: a row that counts wrongly is rejected', { skip }, async (t) => {
  const { isAccepted, unexplained } = await judge(changed(70, { seq: 3 }));

  t.notOk(isAccepted);
  t.match(unexplained, /"Up".*"connection":2/);
});

t.test(
  'judge: a displaced link that is not closed leaves the row wrong at rest',
  { skip },
  async (t) => {
    const lines = changed(72, undefined).filter(({ us }) => us !== 73 && (us <= 80 || us === 150));
    const confirm = { us: 81, process: 'registrar-1', action: 'Confirm', device: 'door', seq: 2 };
    const { isAccepted, unexplained } = await judge([...lines, confirm]);

    t.notOk(isAccepted);
    t.match(unexplained, /"Rest"/);
  },
);

t.test('judge: links that move, and a predecessor that dies meanwhile', { skip }, async (t) => {
  const { isAccepted, explained, steps, unexplained } = await judge(moved);

  t.ok(isAccepted, String(unexplained));
  t.equal(explained, steps);
});

t.test('judge: a successor that reads at ready, without go, is rejected', { skip }, async (t) => {
  const noGo = moved.filter(({ action, connection }) => action !== 'Go' || connection !== 'c1');
  const { isAccepted, unexplained } = await judge(noGo);

  t.notOk(isAccepted);
  t.match(unexplained, /"TakeGo".*"connection":1/);
});

t.test('judge: a row that goes offline before the successor has told', { skip }, async (t) => {
  const reason = 'acceptor-ended';
  const early = [
    { us: 115.2, process: 'registrar', action: 'Down', connection: 'c2', device: 'gate', reason },
    { us: 115.3, process: 'registrar', action: 'Commit' },
  ].map((line) => ({ seq: 2, ...line }));
  const { isAccepted, unexplained } = await judge([...moved, ...early]);

  t.notOk(isAccepted);
  t.match(unexplained, /"AcceptorEnded".*"connection":2/);
});
