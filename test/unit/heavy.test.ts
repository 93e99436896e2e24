/** Heavy: exactly the greediest are not read from, or closed, and nobody else; and they go on. */
import t from 'tap';
import { HEAVY_BYTES, Heavy, type Weighed } from '../../src/acceptor/endpoint/heavy.ts';
import { makeCounters } from '../../src/base/metrics.ts';
import { MESSAGE_TYPES } from '../../src/wire/message.ts';

const KiB = 1_024;
const MiB = 1_024 * KiB;

class FakeLink implements Weighed {
  heldBytes: number;
  /** Of these, sent and not handled. */
  unreadBytes = 0;
  isLive = true;
  /** What was asked of it, in order. */
  readonly asked: string[] = [];

  constructor(heldBytes: number) {
    this.heldBytes = heldBytes;
  }

  get outboxHeldBytes(): number {
    return this.heldBytes - this.unreadBytes;
  }

  rest(): void {
    this.asked.push('rest');
  }

  wake(): void {
    this.asked.push('wake');
  }

  shed(retryAfter: number): void {
    this.asked.push(`shed ${retryAfter}`);
    this.isLive = false;
    // One chunk is on its way still.
    this.heldBytes = 1 * KiB;
  }
}

function build(...weights: number[]) {
  const counters = makeCounters(MESSAGE_TYPES);
  const heavy = new Heavy<FakeLink>({ bytesMax: 1 * MiB, counters, retryAfter: () => 7 });
  const links = weights.map((bytes) => new FakeLink(bytes));
  for (const link of links) heavy.add(link);
  const asked = () => links.map((link) => link.asked.splice(0).join(' '));
  return { counters, heavy, links, asked };
}

t.test('heavy: below the watermark nothing is asked of anybody', async (t) => {
  const { counters, heavy, asked } = build(300 * KiB, 300 * KiB, 100 * KiB);

  heavy.tick();

  t.same(asked(), ['', '', '']);
  t.match(counters, { heavyLinks: 3, heavyBytes: 700 * KiB, greedy: 0 });
});

t.test('heavy: above the watermark the greediest rest, until it is over', async (t) => {
  const { counters, heavy, links, asked } = build(500 * KiB, 270 * KiB, 20 * KiB, 10 * KiB);
  const [first, second] = links as [FakeLink, FakeLink];

  heavy.tick();
  t.same(asked(), ['rest', 'rest', '', '']);
  t.ok(links.map((link) => heavy.isGreedy(link)).join() === 'true,true,false,false');
  t.equal(counters.greedy, 2);

  heavy.tick();
  t.same(asked(), ['', '', '', ''], 'asked once');
  second.heldBytes = 0;
  first.heldBytes = 900 * KiB;
  heavy.tick();
  t.same(asked(), ['', 'wake', '', ''], 'who got rid of its own goes on');

  first.heldBytes = 600 * KiB;
  heavy.tick();
  t.same(asked(), ['wake', '', '', '']);
  t.notOk(heavy.isGreedy(first));
  t.match(counters, { greedy: 2, heavyLinks: 3, heavyBytes: 630 * KiB });
});

t.test('heavy: who holds what it sent itself does not rest: that would be for ever', async (t) => {
  const { heavy, links, asked } = build(500 * KiB, 400 * KiB);
  const [first] = links as [FakeLink];
  first.unreadBytes = first.heldBytes;

  heavy.tick();

  t.same(asked(), ['', 'rest']);
});

t.test('heavy: above the bound the greediest are closed, no more than must be', async (t) => {
  const { counters, heavy, asked } = build(100 * KiB, 600 * KiB, 50 * KiB, 500 * KiB, 300 * KiB);

  heavy.tick();

  t.same(asked(), ['', 'shed 7', '', 'rest', 'rest']);
  t.equal(counters.heavyBytes, 950 * KiB);
  heavy.tick();
  t.same(asked(), ['', '', '', '', ''], 'and that is enough');
});

t.test('heavy: links that are over are dropped before any live one', async (t) => {
  const { heavy, links, asked } = build(700 * KiB, 400 * KiB, 100 * KiB);
  const [, over] = links as [FakeLink, FakeLink];
  over.isLive = false;

  heavy.tick();

  t.same(asked(), ['rest', 'shed 7', ''], 'what it holds, nobody waits for');
});

t.test('heavy: who holds little is let go of, and costs nothing', async (t) => {
  const { counters, heavy, links } = build(HEAVY_BYTES, HEAVY_BYTES - 1);
  heavy.tick();
  t.equal(counters.heavyLinks, 1);
  for (const link of links) link.heldBytes = 0;
  heavy.tick();

  t.match(counters, { heavyLinks: 0, heavyBytes: 0 });
});

t.test('heavy: a link whose socket is gone is not weighed', async (t) => {
  const { counters, heavy, links } = build(900 * KiB, 20 * KiB);
  heavy.tick();
  heavy.forget(links[0] as FakeLink);
  heavy.tick();

  t.match(counters, { heavyLinks: 1, heavyBytes: 20 * KiB });
});
