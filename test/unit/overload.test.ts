/** Overload: who sends far more than others waits, and only while something is overloaded. */
import t from 'tap';
import { Allowance } from '../../src/acceptor/endpoint/allowance.ts';
import { Overload } from '../../src/acceptor/endpoint/overload.ts';
import { Rate } from '../../src/acceptor/endpoint/rate.ts';
import { makeLimits } from '../../src/base/limits.ts';

const STEP_MS = 32;
const limits = makeLimits({ linkMessagesPerSecond: 1_000, linkFairPerSecond: 10 });

class World {
  busy = 0;
  isSlow = false;
  now = 1_000;
  readonly overload = new Overload(
    limits,
    { overloads: 0 },
    {
      busyShare: () => this.busy,
      isBrokerSlow: () => this.isSlow,
    },
  );
  /** The window in which each link sent last. */
  readonly #windows = new Map<string, number>();

  /** For so long, each link of `perSecond` sends so many messages a second. */
  pass(ms: number, perSecond: Readonly<Record<string, number>> = {}): void {
    const due = new Map(Object.keys(perSecond).map((link) => [link, 0]));
    for (const end = this.now + ms; this.now < end; ) {
      this.now += STEP_MS;
      for (const [link, rate] of Object.entries(perSecond)) {
        let left = (due.get(link) ?? 0) + (rate * STEP_MS) / 1_000;
        for (; left >= 1; left -= 1) {
          this.#windows.set(link, this.overload.count(this.#windows.get(link) ?? 0));
        }
        due.set(link, left);
      }
      this.overload.tick(this.now);
    }
  }
}

function fleet(count: number, perSecond: number): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`device-${i}`, perSecond]));
}

t.test('overload: without one nobody is held back, whatever is sent', async (t) => {
  const world = new World();

  world.pass(5_000, { ...fleet(10, 1), flooder: 1_000 });

  t.equal(world.overload.factor, 1);
});

for (const [name, strain] of [
  ['the event loop is busy', (world: World) => (world.busy = 0.9)],
  ['the broker is slow', (world: World) => (world.isSlow = true)],
] as const) {
  t.test(`overload: ${name}: within some looks a flooder has the fair rate`, async (t) => {
    const world = new World();
    world.pass(3_000, fleet(50, 2));
    strain(world);

    world.pass(200, fleet(50, 2));

    t.equal(world.overload.factor, 100, '1,000 a second over 10');
  });
}

t.test('overload: load that all bring alike holds back nobody', async (t) => {
  const world = new World();
  world.busy = 1;

  world.pass(5_000, fleet(20, 600));

  t.equal(world.overload.factor, 1, 'twice their average is above the rate of a link');
});

t.test('overload: the fair rate is twice the average of those that send', async (t) => {
  const world = new World();
  world.busy = 1;

  world.pass(5_000, fleet(20, 50));

  t.ok(Math.abs(world.overload.factor - 10) < 1, `${world.overload.factor}: 1,000 over 100`);
});

t.test('overload: it ends by and by', async (t) => {
  const world = new World();
  world.pass(3_000, fleet(50, 2));
  world.busy = 1;
  world.pass(1_000, fleet(50, 2));
  world.busy = 0;
  const highest = world.overload.factor;

  world.pass(5_000, fleet(50, 2));
  const later = world.overload.factor;
  world.pass(60_000, fleet(50, 2));

  t.ok(later < highest && later > highest / 3, `${highest}, and 5 s later ${later}`);
  t.equal(world.overload.factor, 1);
});

t.test('overload: before a whole window has passed nobody is judged', async (t) => {
  const world = new World();
  world.busy = 1;

  world.pass(500, { only: 1_000 });

  t.equal(world.overload.factor, 1);
});

t.test('allowance: a link is ahead sooner in an overload', async (t) => {
  const rate = new Rate(limits);
  const most = (factor: number) => {
    const overload = { count: () => 1, factor };
    const allowance = new Allowance();
    let count = 0;
    for (; !allowance.isAhead(rate, 0); count += 1) {
      allowance.pay(rate, overload, { bytes: 1, elements: 1 }, 0);
    }
    return count;
  };

  t.equal(most(1), limits.linkMessagesBurst + 1);
  t.equal(most(10), limits.linkMessagesBurst / 10 + 1);
});

t.test('allowance: the answers to what is under way fit into the outbox', async (t) => {
  const allowance = new Allowance();
  t.equal(allowance.inFlightMax(limits), 16, 'before there was an answer');

  for (let n = 0; n < 50; n += 1) allowance.answered(60_000);
  t.equal(allowance.inFlightMax(limits), 4);

  for (let n = 0; n < 50; n += 1) allowance.answered(limits.outboxHardBytes * 2);
  t.equal(allowance.inFlightMax(limits), 1, 'one may always be');

  for (let n = 0; n < 100; n += 1) allowance.answered(0);
  t.equal(allowance.inFlightMax(limits), limits.inFlightMax);
});
