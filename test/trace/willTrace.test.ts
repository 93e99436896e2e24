/** Lines of wills as steps of tla/WillTrace.tla: what is put in, and what cannot be judged. */
import t from 'tap';
import type { TraceLine } from '../../tla/trace.ts';
import { willedDevices, willModule } from '../../tla/willTrace.ts';

const DOOR = { connection: 'c1', device: 'door' };
const BEGIN: readonly Omit<TraceLine, 'us'>[] = [
  { process: 'r1', action: 'RegistrarStart' },
  { process: 'a', action: 'Connect' },
  { process: 'a', action: 'Will!Leave', connection: 'c1', rules: 'mqtt', isDelayed: true },
  { process: 'a', action: 'Accept', ...DOOR, acceptedUs: 1 },
  { process: 'a', action: 'WriteUp', ...DOOR },
  { process: 'r1', action: 'Up', ...DOOR, seq: 1 },
  { process: 'r1', action: 'Will!Keep', ...DOOR },
  { process: 'r1', action: 'Commit' },
];

function linesOf(...more: Omit<TraceLine, 'us'>[]): TraceLine[] {
  return [...BEGIN, ...more].map((line, us) => ({ ...line, us }) as TraceLine);
}

function stepsOf(...more: Omit<TraceLine, 'us'>[]) {
  return willModule('T', linesOf(...more), 'door').steps;
}

t.test('willTrace: a change of a will belongs to the step before it', async (t) => {
  const steps = stepsOf();

  t.same(
    steps.map(({ action }) => action),
    ['AcceptorStart', 'Connect', 'Accept', 'WriteUp', 'Up'],
  );
  t.match(steps[2], { rules: 'mqtt', delayed: 1, clean: 0 });
  t.match(steps.at(-1), { named: 1, skip: 0, wills: [{ c: 1, is: 'kept' }] });
  t.same(willedDevices(linesOf()), ['door']);
});

t.test('willTrace: a registrar has died when a stream is lost after its last line', async (t) => {
  const down = { process: 'r1', action: 'Down', ...DOOR, reason: 'peer-fin', seq: 2 };
  const steps = stepsOf(
    { process: 'a', action: 'End', ...DOOR, reason: 'peer-fin' },
    down,
    { process: 'r1', action: 'Will!Wait', ...DOOR },
    { process: 'a', action: 'StreamLost' },
    { process: 'r2', action: 'RegistrarStart' },
  ).slice(5);

  t.match(steps, [
    { action: 'End', reason: 'peer-fin' },
    { action: 'Down', skip: 1, wills: [{ c: 1, is: 'waits' }] },
    { action: 'RegistrarCrash' },
    { action: 'RegistrarStart' },
  ]);
});

t.test('willTrace: what Will.tla does not know is said, and not judged', async (t) => {
  const lost = { process: 'a', action: 'StreamLost' };
  const one = { process: 'r1', action: 'Commit' };

  t.throws(() => stepsOf(lost, one), /was lost/);
  t.throws(() => stepsOf({ process: 'a', action: 'Offer', ...DOOR }), /move/);
  t.throws(() => stepsOf({ process: 'r1', action: 'Hold', ...DOOR }), /wait/);
  t.throws(() => stepsOf({ process: 'r1', action: 'Will!Keep', ...DOOR }), /changed by no step/);
});
