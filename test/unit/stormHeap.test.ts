/** StormHeap: when many TLS handshakes are a storm, and when it is over. */
import t from 'tap';
import { StormHeap } from '../../src/acceptor/establish/stormHeap.ts';

/** What has been asked for, beside a storm of `count` handshakes in each of the next seconds. */
function build() {
  const told: boolean[] = [];
  const heap = new StormHeap((isStorm) => told.push(isStorm));
  let now = 10_000;
  heap.tick(now);
  const second = (count: number) => {
    for (let one = 0; one < count; one += 1) heap.begin(now);
    now += 1_000;
    heap.tick(now);
  };
  return { heap, told, second };
}

t.test('storm heap: what comes slowly changes nothing', async (t) => {
  const { told, second } = build();

  for (let round = 0; round < 10; round += 1) second(49);

  t.same(told, []);
});

t.test(
  'storm heap: a storm is seen within its second, and is over a second after it',
  async (t) => {
    const { heap, told, second } = build();

    for (let one = 0; one < 50; one += 1) heap.begin(10_000);
    t.same(told, [true]);
    second(0);
    second(50);
    t.same(told, [true]);
    second(49);

    t.same(told, [true, false]);
  },
);

t.test('storm heap: a storm that does not end is how it is, until a calm second', async (t) => {
  const { told, second } = build();

  for (let round = 0; round < 300; round += 1) second(600);
  t.same(told, [true, false]);
  second(0);
  second(600);

  t.same(told, [true, false, true]);
});
