/** Command ledger and key memory: each thing that can go wrong with a command is found, once. */
import t from 'tap';
import { CommandLedger, type Outcome } from '../../loadgen/commands/commandLedger.ts';
import { Keys } from '../../loadgen/fleet/keys.ts';
import { Measures } from '../../loadgen/measure/measures.ts';
import { type Violation, Violations } from '../../loadgen/measure/violations.ts';
import { KIND, Payloads } from '../../loadgen/plan/payload.ts';
import { makePlan } from '../../loadgen/plan/settings.ts';

const GIVEN = { target: '127.0.0.1:1', bytes: '32', timeout: '1s' };

class Bench {
  readonly plan = makePlan(GIVEN, [], 1);
  readonly payloads = new Payloads(1, 1, 64);
  readonly measures = new Measures();
  readonly violations = new Violations();
  readonly ledger = new CommandLedger(this);

  publish(number: number, isKept = true): void {
    const times = { plannedMs: 0, dueMs: 1_000, isTimed: true };
    this.ledger.onPublished({ number, device: 5, isKept, ...times });
  }

  payload(number: number): Buffer {
    const payload = Buffer.alloc(32);
    this.payloads.fill(payload, 0, 32, { device: 5, number, kind: KIND.command });
    return payload;
  }

  act(number: number, device = 5): void {
    this.ledger.onActed(device, this.payload(number), 10);
  }

  tell(number: number, type: string, more: Partial<Outcome> = {}): void {
    const payload = type === 'result' ? this.payload(number) : Buffer.alloc(0);
    const status = type === 'result' ? 0 : undefined;
    this.ledger.onOutcome(number, { type, status, reason: '', payload, ...more }, 20);
  }

  found(): Partial<Record<Violation, number>> {
    const { counts } = this.violations;
    return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
  }
}

t.test('command ledger: acted upon once and told so is timed, and nothing is found', async (t) => {
  const bench = new Bench();
  bench.publish(1);

  bench.act(1);
  bench.tell(1, 'delivered');
  t.equal(bench.ledger.openCount, 1);
  bench.tell(1, 'result');

  const { counts, labelled, times } = bench.measures.take();
  t.same(bench.found(), {});
  t.match(counts, { commandsPublished: 1, commandsActed: 1 });
  t.same(labelled.outcomes, { delivered: 1, result: 1 });
  t.ok(times.command !== undefined && times.outcome !== undefined);
  t.equal(bench.ledger.openCount, 0);
});

t.test('command ledger: a second act, and an act of another device', async (t) => {
  const bench = new Bench();
  for (const number of [1, 2]) bench.publish(number);

  for (const number of [1, 1, 2]) bench.act(number);
  bench.act(2, 6);

  t.same(bench.found(), { twice: 1, elsewhere: 1 });
});

t.test('command ledger: kept ones out of order, and transient ones, which have none', async (t) => {
  const bench = new Bench();
  for (const number of [1, 2, 4]) bench.publish(number);
  bench.publish(3, false);

  for (const number of [1, 4, 2, 3]) bench.act(number);

  t.same(bench.found(), { disordered: 1 });
  t.match(bench.violations.take().examples[0]?.text, 'kept command 2 came after command 4');
});

t.test(
  'command ledger: two final outcomes: the same is repeated, another contradicts',
  async (t) => {
    const bench = new Bench();
    for (const number of [1, 2, 3]) bench.publish(number);
    for (const number of [1, 2]) bench.act(number);

    for (const type of ['result', 'result']) bench.tell(1, type);
    for (const type of ['result', 'offline']) bench.tell(2, type);
    bench.tell(3, 'refused', { reason: 'full' });
    bench.tell(3, 'refused', { reason: 'busy' });

    t.same(bench.found(), { repeated: 1, contradicted: 2 });
    t.same(bench.measures.take().labelled.outcomes, { result: 2, 'refused full': 1 });
  },
);

t.test('command ledger: no final outcome within deadline and --timeout', async (t) => {
  const bench = new Bench();
  for (const number of [1, 2]) bench.publish(number);
  bench.publish(3, false);
  bench.tell(1, 'offline');

  bench.ledger.expire(2_000);
  t.same(bench.found(), {});
  bench.ledger.expire(2_001);

  t.same(bench.found(), { unsettled: 1, untold: 1 });
  t.equal(bench.ledger.openCount, 0);
});

t.test('command ledger: what was told does not fit what was done', async (t) => {
  const bench = new Bench();
  for (let number = 1; number <= 7; number += 1) bench.publish(number);

  bench.tell(1, 'result');
  for (const number of [2, 3]) bench.act(number);
  bench.tell(2, 'expired', { reason: 'not-sent' });
  bench.tell(3, 'expired', { reason: 'no-result' });
  bench.tell(4, 'offline');
  bench.act(4);
  for (const number of [5, 6]) bench.act(number);
  bench.tell(5, 'result', { status: 5 });
  bench.tell(6, 'result', { payload: Buffer.from('other') });
  bench.tell(8, 'result');

  t.same(bench.found(), { unacted: 1, denied: 2, unheard: 1, wrong: 2, misrouted: 1 });
});

t.test('command ledger: the broker refused it, or nobody knows: no outcome is owed', async (t) => {
  const bench = new Bench();
  for (const number of [1, 2]) bench.publish(number, false);

  bench.ledger.onUnpublished(1, 'nacked');
  bench.ledger.onUnpublished(2, 'unsure');
  for (const number of [1, 2]) bench.act(number);
  bench.ledger.expire(Number.POSITIVE_INFINITY);

  t.same(bench.found(), { denied: 1 });
  t.same(bench.measures.take().labelled.outcomes, { nacked: 1, unsure: 1 });
});

t.test('command ledger: a command of somebody else is not judged', async (t) => {
  const bench = new Bench();

  bench.ledger.onActed(5, Buffer.from('please'), 1);

  t.same(bench.found(), {});
  t.equal(bench.measures.counts.commandsActed, 0);
});

t.test('keys: the last 16 are known, the one before is new again', async (t) => {
  const keys = new Keys();
  const key = (at: number) => Buffer.alloc(16, at);

  for (let at = 1; at <= 17; at += 1) t.equal(keys.isNew(key(at)), true);

  t.equal(keys.isNew(key(2)), false);
  t.equal(keys.isNew(key(17)), false);
  t.equal(keys.isNew(key(1)), true);
});
