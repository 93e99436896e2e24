/** Deadlines against a dumb twin that keeps a list and looks at all of it. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { Deadlines, SWEEP_MAX } from '../../src/base/deadlines.ts';

class DumbDeadlines {
  items: { item: number; due: number }[] = [];
  readonly ms: number;

  constructor(ms: number) {
    this.ms = ms;
  }

  add(item: number, now: number): number {
    this.delete(item);
    this.items.push({ item, due: now + this.ms });
    return now + this.ms;
  }

  delete(item: number): boolean {
    const before = this.items.length;
    this.items = this.items.filter((entry) => entry.item !== item);
    return this.items.length < before;
  }

  sweep(now: number): number[] {
    const due = this.items.filter((entry) => entry.due <= now).map(({ item }) => item);
    this.items = this.items.filter((entry) => entry.due > now);
    return due;
  }
}

const item = fc.nat({ max: 9 });
const step = fc.oneof(
  fc.record({ do: fc.constant('add' as const), item }),
  fc.record({ do: fc.constant('delete' as const), item }),
  fc.record({ do: fc.constant('sweep' as const), item: fc.nat({ max: 30 }) }),
);

t.test('deadlines: fall due as in a list that is searched from end to end', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.array(step, { maxLength: 80 }), (ms, steps) => {
      let now = 1;
      const ended: number[] = [];
      const deadlines = new Deadlines<number>(ms, (item) => ended.push(item));
      const twin = new DumbDeadlines(ms);
      for (const { do: action, item } of steps) {
        if (action === 'add') assert.equal(deadlines.add(item, now), twin.add(item, now));
        else if (action === 'delete') assert.equal(deadlines.delete(item), twin.delete(item));
        else {
          now += item;
          ended.length = 0;
          deadlines.sweep(now);
          assert.deepEqual(ended, twin.sweep(now));
        }
        assert.equal(deadlines.size, twin.items.length);
      }
    }),
    { numRuns: 500 },
  );
  t.pass('held for every run');
});

t.test('deadlines: one sweep ends a bounded number, the next go on', async (t) => {
  const ended: number[] = [];
  const deadlines = new Deadlines<number>(10, (item) => ended.push(item));
  const items = Array.from({ length: SWEEP_MAX * 2 + 1 }, (_, i) => i);
  for (const item of items) deadlines.add(item, 1);

  const counts = [0, 0, 0].map(() => {
    deadlines.sweep(11);
    return ended.length;
  });

  t.same(counts, [SWEEP_MAX, SWEEP_MAX * 2, SWEEP_MAX * 2 + 1]);
  t.same(ended, items, 'in order, each once');
});
