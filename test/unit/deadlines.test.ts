/** Deadlines whose `onDue` changes them, as closing an endpoint does. */
import t from 'tap';
import { Deadlines } from '../../src/base/deadlines.ts';

t.test('deadlines: an item falls due at its time and not a millisecond before', async (t) => {
  const ended: string[] = [];
  const deadlines = new Deadlines<string>(100, (item) => ended.push(item));

  t.equal(deadlines.add('a', 5), 105);
  deadlines.sweep(104);
  t.same(ended, []);
  deadlines.sweep(105);
  deadlines.sweep(1_000);

  t.same(ended, ['a'], 'once');
});

t.test('deadlines: adding again starts the time anew', async (t) => {
  const ended: string[] = [];
  const deadlines = new Deadlines<string>(100, (item) => ended.push(item));
  deadlines.add('a', 0);
  deadlines.add('b', 10);

  deadlines.add('a', 20);
  deadlines.sweep(110);

  t.same(ended, ['b']);
  t.equal(deadlines.size, 1);
});

t.test('deadlines: the end of an item may end others, and add new ones', async (t) => {
  const ended: string[] = [];
  const deadlines: Deadlines<string> = new Deadlines<string>(100, (item) => {
    ended.push(item);
    if (item !== 'a') return;
    deadlines.delete('b');
    deadlines.add('a', 100);
  });
  for (const item of ['a', 'b', 'c']) deadlines.add(item, 0);

  deadlines.sweep(100);

  t.same(ended, ['a', 'c']);
  t.equal(deadlines.size, 1, 'a waits again');
});
