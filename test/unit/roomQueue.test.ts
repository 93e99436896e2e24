/** RoomQueue: many that flood get no more room, each, than one that asks once. */
import t from 'tap';
import { RoomQueue } from '../../src/acceptor/endpoint/roomQueue.ts';

class Link {
  taken = 0;
  left: number;
  inFlight = 0;
  readonly #queue: RoomQueue<Link>;
  readonly #broker: { room: number };

  constructor(queue: RoomQueue<Link>, broker: { room: number }, messages: number) {
    this.#queue = queue;
    this.#broker = broker;
    this.left = messages;
  }

  wake(): void {
    while (this.left > 0) {
      if (!this.#queue.hasRoom(this)) {
        this.#queue.add(this);
        return;
      }
      this.#queue.took();
      this.#broker.room -= 1;
      this.left -= 1;
      this.inFlight += 1;
      this.taken += 1;
    }
  }
}

function build(room: number) {
  const broker = { room };
  const queue = new RoomQueue<Link>(() => broker.room <= 0);
  const link = (messages: number) => new Link(queue, broker, messages);
  return { broker, queue, link };
}

t.test('room: who finds some takes it, while nobody waits', async (t) => {
  const { link, broker } = build(10);
  const one = link(3);
  one.wake();
  t.same([one.taken, broker.room], [3, 7]);
});

t.test('room: who has nothing under way goes before all that have', async (t) => {
  const { link, broker, queue } = build(40);
  const floods = Array.from({ length: 20 }, () => link(1_000));
  for (const flood of floods) {
    flood.inFlight = 1;
    flood.wake();
  }
  const one = link(1);
  one.wake();
  t.equal(one.taken, 0, 'there is no room at all');

  broker.room += 1;
  queue.serve();

  t.equal(one.taken, 1);
  const next = link(1);
  broker.room += 1;
  next.wake();
  t.equal(next.taken, 1, 'nor does it wait behind them when there is some');
});

t.test('room: one that asks again waits for a few of each that flood, not for all', async (t) => {
  const { link, broker, queue } = build(0);
  const floods = Array.from({ length: 20 }, () => link(1_000));
  const one = link(1);
  for (const busy of [...floods, one]) busy.inFlight = 1;
  for (const flood of floods) flood.wake();
  one.wake();

  let rounds = 0;
  while (one.taken === 0) {
    broker.room += 8;
    queue.serve();
    rounds += 1;
  }

  const before = floods.reduce((sum, { taken }) => sum + taken, 0);
  t.ok(before <= 20 * 4 + 8, `${before} of the others went before it`);
  t.ok(rounds <= 11, String(rounds));
});

t.test('room: shares are even, whatever there is at a time', async (t) => {
  const { link, broker, queue } = build(0);
  const floods = Array.from({ length: 10 }, () => link(1_000));
  for (const flood of floods) {
    flood.inFlight = 1;
    flood.wake();
  }
  for (let round = 0; round < 500; round += 1) {
    broker.room += 1 + (round % 13);
    queue.serve();
  }

  const taken = floods.map((flood) => flood.taken);
  t.ok(Math.max(...taken) <= 1.2 * Math.min(...taken), taken.join());
});

t.test('room: one that is gone is not woken', async (t) => {
  const { link, broker, queue } = build(0);
  const [gone, stays] = [link(5), link(5)];
  for (const one of [gone, stays]) one.wake();
  queue.delete(gone);

  broker.room = 10;
  queue.serve();
  queue.serve();

  t.same([gone.taken, stays.taken], [0, 5]);
});
