/** To which successor a link is offered. */
import t from 'tap';
import { Heirs } from '../../src/acceptor/move/heirs.ts';

const links = Array.from({ length: 6 }, (_, at) => ({ at }));
const [link = { at: 0 }] = links;

t.test('heirs: all in turn', async (t) => {
  const heirs = new Heirs<object>(['a', 'b', 'c']);
  t.same(
    links.map((one) => heirs.next(one)),
    ['a', 'b', 'c', 'a', 'b', 'c'],
  );
});

t.test('heirs: who has refused a link is not asked for it again', async (t) => {
  const heirs = new Heirs<object>(['a', 'b']);
  heirs.refuse(link, 'a');
  t.same([heirs.next(link), heirs.next(link)], ['b', 'b']);
  t.equal(heirs.canTake(link), true);
  heirs.refuse(link, 'b');
  t.equal(heirs.next(link), undefined);
  t.equal(heirs.canTake(link), false);
  t.ok(heirs.next(links[1] as object), 'another link is');
});

t.test('heirs: one that has ended is asked for nothing', async (t) => {
  const heirs = new Heirs<object>(['a', 'b']);
  heirs.remove('a');
  t.same(
    links.map((one) => heirs.next(one)),
    links.map(() => 'b'),
  );
  heirs.remove('b');
  t.equal(heirs.size, 0);
  t.equal(heirs.next(link), undefined);
});
