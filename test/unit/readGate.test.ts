/** ReadGate: what stops the reading of a link, who wakes it, and what its pause costs it. */
import t from 'tap';
import { Allowance } from '../../src/acceptor/endpoint/allowance.ts';
import { Overload } from '../../src/acceptor/endpoint/overload.ts';
import { Rate } from '../../src/acceptor/endpoint/rate.ts';
import { type GatedLink, ReadGate } from '../../src/acceptor/endpoint/readGate.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { FakeClock } from '../helpers/fakes/clock.ts';

class Link implements GatedLink {
  isLive = true;
  state = 'open';
  inFlight = 0;
  outboxBytes = 0;
  pausedAt = 0;
  isHolding = false;
  heardAt = 0;
  readonly allowance = new Allowance();
  /** What the gate asked of it. */
  readonly asked: string[] = [];

  awaitOutbox(): void {
    this.asked.push('awaitOutbox');
  }

  readAhead(): void {
    this.asked.push('readAhead');
  }

  wake(): void {}
}

const limits = makeLimits({ inFlightMax: 2, linkMessagesPerSecond: 100, linkMessagesBurst: 1 });

function build() {
  const clock = new FakeClock();
  clock.advance(1_000);
  const counters = { pausedLinks: 0 };
  const link = new Link();
  const greedy = new Set<Link>();
  const throttled: Link[] = [];
  const broker = { hasRoom: true, line: [] as Link[] };
  const load = { busyShare: () => 0, isBrokerSlow: () => false };
  const gate = new ReadGate<Link>({
    limits,
    counters,
    clock,
    rate: new Rate(limits),
    overload: new Overload(limits, { overloads: 0 }, load),
    heavy: { isGreedy: (link) => greedy.has(link) },
    deadlines: { throttle: (link) => throttled.push(link) },
    rooms: { hasRoom: () => broker.hasRoom, add: (link) => broker.line.push(link) },
  });
  link.heardAt = clock.now();
  return { clock, counters, link, greedy, throttled, broker, gate };
}

type World = ReturnType<typeof build>;

t.test('gate: a link with nothing in its way is read', async (t) => {
  const { gate, link } = build();

  t.equal(gate.obstacle(link), undefined);
  t.equal(gate.hasRoom(link, 'event'), true);
  t.equal(gate.open(link), false, 'there is nothing to open');
  t.same(link.asked, []);
});

const IN_THE_WAY: Readonly<
  Record<'memory' | 'in-flight' | 'outbox' | 'rate', [(world: World) => void, (w: World) => void]>
> = {
  memory: [({ greedy, link }) => greedy.add(link), ({ greedy }) => greedy.clear()],
  'in-flight': [({ link }) => (link.inFlight = 2), ({ link }) => (link.inFlight = 1)],
  outbox: [
    ({ link }) => (link.outboxBytes = limits.outboxSoftBytes),
    ({ link }) => (link.outboxBytes = 0),
  ],
  rate: [
    ({ gate, link }) => {
      for (let paid = 0; paid < 2; paid += 1) gate.pay(link, { bytes: 10, elements: 1 });
    },
    ({ clock }) => clock.advance(50),
  ],
};

for (const obstacle of ['memory', 'in-flight', 'outbox', 'rate'] as const) {
  t.test(`gate: ${obstacle}: paused once, and open only when it gave way`, async (t) => {
    const world = build();
    const { gate, link, counters, clock, throttled } = world;
    const [come, go] = IN_THE_WAY[obstacle];
    come(world);
    t.equal(gate.obstacle(link), obstacle);

    gate.pause(link, obstacle);
    t.equal(link.pausedAt, clock.now());
    t.equal(gate.open(link), false, 'it is still in the way');
    t.equal(counters.pausedLinks, 1);
    t.equal(link.asked.filter((what) => what === 'readAhead').length, 1);
    t.equal(link.asked.includes('awaitOutbox'), obstacle === 'outbox');
    t.same(throttled, obstacle === 'rate' ? [link, link] : [], 'asked again, as it still waits');

    go(world);
    t.equal(gate.open(link), true);
    t.equal(counters.pausedLinks, 0);
    t.equal(link.pausedAt, 0);
  });
}

t.test('gate: without room it stands in line, and is paused', async (t) => {
  const { gate, link, broker, counters } = build();
  broker.hasRoom = false;

  t.equal(gate.hasRoom(link, 'request'), false);
  t.same(broker.line, [link]);
  t.equal(counters.pausedLinks, 1);
  broker.hasRoom = true;
  t.equal(gate.open(link), true);
});

t.test('gate: silence does not count while nobody listened', async (t) => {
  const { gate, link, clock } = build();
  clock.advance(100);
  gate.pause(link, 'memory');
  clock.advance(5_000);
  gate.unpause(link);

  t.equal(clock.now() - link.heardAt, 100);
});

t.test('gate: a link that is over is not opened, and is paused no more once let go', async (t) => {
  const { gate, link, counters } = build();
  gate.pause(link, 'memory');
  link.isLive = false;

  t.equal(gate.obstacle(link), 'over');
  t.equal(gate.open(link), false);
  t.equal(counters.pausedLinks, 1);
  gate.unpause(link);
  gate.unpause(link);
  t.equal(counters.pausedLinks, 0);
});
