/** Expiries against a plain map that looks at all of it. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { EXPIRY_STEP_MS, Expiries } from '../../src/acceptor/endpoint/expiries.ts';
import { SWEEP_MAX } from '../../src/base/deadlines.ts';

type Step =
  | { readonly do: 'add'; readonly item: number; readonly inMs: number }
  | { readonly do: 'delete'; readonly item: number }
  | { readonly do: 'pass'; readonly ms: number };

const item = fc.nat({ max: 20 });
/** Some have ended before they are added, and some end in a year. */
const inMs = fc.oneof(
  fc.integer({ min: -5_000, max: 5_000 }),
  fc.integer({ min: 0, max: 31_536_000_000 }),
);
const ms = fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 2_000 }), fc.nat({ max: 31_536_000_000 }));
const steps = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('add' as const), item, inMs }),
    fc.record({ do: fc.constant('delete' as const), item }),
    fc.record({ do: fc.constant('pass' as const), ms }),
  ),
  { maxLength: 60 },
);

/** What ends it ends once, not before its time, and at most a step after it. */
function follow(start: number, doing: readonly Step[]): void {
  const due = new Map<number, number>();
  /** What had ended when it was added counts from then on. */
  const from = new Map<number, number>();
  let now = start;
  const expiries = new Expiries<number>((one) => {
    const at = due.get(one);
    assert.ok(at !== undefined, `${one} ended, and was not there`);
    assert.ok(at <= now, `${one} ended ${at - now} ms early`);
    due.delete(one);
  });
  for (const step of doing) {
    if (step.do === 'add') {
      expiries.add(step.item, now + step.inMs);
      due.set(step.item, now + step.inMs);
      from.set(step.item, now + Math.max(0, step.inMs));
    } else if (step.do === 'delete') {
      expiries.delete(step.item);
      due.delete(step.item);
    } else {
      now += step.ms;
      expiries.sweep(now);
      const late = [...due.keys()].filter((one) => (from.get(one) ?? 0) <= now - EXPIRY_STEP_MS);
      assert.deepEqual(late, []);
    }
    assert.equal(expiries.size, due.size);
  }
}

t.test('expiries: nothing ends early, and nothing late', async () => {
  fc.assert(fc.property(fc.double({ min: 0, max: 1e12, noNaN: true }), steps, follow), {
    numRuns: 2_000,
  });
});

t.test('expiries: a sweep ends so many at most, the next one goes on', async (t) => {
  const ended = new Set<number>();
  const expiries = new Expiries<number>((one) => ended.add(one));
  const count = 2 * SWEEP_MAX + 7;
  for (let one = 0; one < count; one += 1) expiries.add(one, 1_000);
  for (const expected of [SWEEP_MAX, 2 * SWEEP_MAX, count, count]) {
    expiries.sweep(2_000);
    t.equal(ended.size, expected);
  }
  t.equal(expiries.size, 0);
});

t.test('expiries: what is added or taken out while it sweeps', async (t) => {
  const ended: string[] = [];
  const expiries = new Expiries<string>((one) => {
    ended.push(one);
    if (one !== 'first') return;
    expiries.delete('second');
    expiries.add('third', 0);
  });
  expiries.add('first', 100);
  expiries.add('second', 100);
  expiries.sweep(1_000);
  expiries.sweep(1_000 + EXPIRY_STEP_MS);
  t.same(ended, ['first', 'third']);
  t.equal(expiries.size, 0);
});

t.test('expiries: a long sleep costs no walk over each step of it', async (t) => {
  const ended: string[] = [];
  const expiries = new Expiries<string>((one) => ended.push(one));
  expiries.add('one', 1_000);
  const startedAt = performance.now();
  expiries.sweep(1e15);
  expiries.sweep(1e15);
  t.same(ended, ['one']);
  t.ok(performance.now() - startedAt < 100);
});
