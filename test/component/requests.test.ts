/** REQUESTs: exactly one answer, whatever the order of reply, return, nack, deadline and end. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { type Reply, TYPE } from '../../src/wire/message.ts';
import { type FakeEndpoint, Paths } from '../helpers/worlds/paths.ts';

const REQUEST_MS = 100;

/** One REQUEST as the test remembers it. */
interface Asked {
  readonly link: FakeEndpoint;
  readonly id: number;
  readonly correlationId: string;
  readonly due: number;
  /** The status that its first answer must have; `gone` when the link ended before any. */
  outcome: number | 'gone' | undefined;
}

const nth = fc.nat({ max: 30 });
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('ask' as const), nth }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('reply' as const), nth }) },
  fc.record({ do: fc.constant('return' as const), nth }),
  fc.record({ do: fc.constant('confirm' as const), nth }),
  fc.record({ do: fc.constant('nack' as const), nth }),
  fc.record({ do: fc.constant('pass' as const), nth }),
  fc.record({ do: fc.constant('end' as const), nth }),
  fc.record({ do: fc.constant('lose' as const), nth }),
  fc.record({ do: fc.constant('reopen' as const), nth }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

class Run {
  readonly paths = new Paths({ requestMs: REQUEST_MS });
  readonly links = [this.paths.link(), this.paths.link(), this.paths.link()];
  readonly asked: Asked[] = [];
  #ids = 0;
  #hasChannel = true;
  #answered = new Set<number>();

  #pick(nth: number): Asked | undefined {
    return this.asked[nth % this.asked.length];
  }

  /** The REQUEST of the nth publish on the present channel. */
  #published(nth: number): { asked: Asked; index: number } | undefined {
    const { published } = this.paths.channel;
    if (!this.#hasChannel || published.length === 0) return undefined;
    const index = nth % published.length;
    const messageId = published[index]?.options.messageId;
    const asked = this.asked.find(({ correlationId }) => correlationId === messageId);
    return asked && { asked, index };
  }

  #settle(asked: Asked | undefined, outcome: number | 'gone'): void {
    if (asked && asked.outcome === undefined) asked.outcome = outcome;
  }

  take({ do: action, nth }: Step): void {
    const { paths } = this;
    if (action === 'ask') this.#ask(nth);
    else if (action === 'reply') {
      const asked = this.#pick(nth);
      this.#settle(asked, 100 + nth);
      if (asked)
        paths.reply({ correlationId: asked.correlationId, headers: { status: 100 + nth } });
    } else if (action === 'pass') this.#pass(nth);
    else if (action === 'end') this.#end(nth);
    else if (action === 'lose') {
      this.#hasChannel = false;
      paths.loseChannel();
    } else if (action === 'reopen') this.#reopen();
    else this.#brokerSays(action, nth);
  }

  #ask(nth: number): void {
    const link = this.links[nth % this.links.length] as FakeEndpoint;
    if (!link.isLive) return;
    this.#ids += 1;
    const correlationId = this.paths.request(link, this.#ids);
    const due = this.paths.clock.now() + REQUEST_MS;
    this.asked.push({ link, id: this.#ids, correlationId, due, outcome: undefined });
  }

  #brokerSays(action: 'return' | 'confirm' | 'nack', nth: number): void {
    const about = this.#published(nth);
    if (about === undefined) return;
    const { channel } = this.paths;
    const tag = about.index + 1;
    if (action === 'confirm') {
      this.#answered.add(tag);
      channel.confirm(tag);
    } else if (action === 'nack') {
      // A broker answers each tag once.
      if (!this.#answered.has(tag)) this.#settle(about.asked, 4);
      this.#answered.add(tag);
      channel.nack(tag);
    } else {
      this.#settle(about.asked, 2);
      channel.giveBack(about.index);
    }
  }

  #pass(ms: number): void {
    const now = this.paths.clock.now() + ms;
    for (const asked of this.asked) if (asked.due <= now) this.#settle(asked, 1);
    this.paths.pass(ms);
  }

  #end(nth: number): void {
    const link = this.links[nth % this.links.length] as FakeEndpoint;
    if (!link.isLive) return;
    for (const asked of this.asked) if (asked.link === link) this.#settle(asked, 'gone');
    this.paths.end(link);
  }

  #reopen(): void {
    this.paths.loseChannel();
    this.#answered = new Set();
    const channel = this.paths.reopen();
    this.#hasChannel = true;
    for (const { options } of channel.published) {
      const asked = this.asked.find(({ correlationId }) => correlationId === options.messageId);
      assert.equal(asked?.outcome, undefined, 'only what is open is published again');
    }
    const order = channel.published.map(({ options }) => Number(options.messageId?.split(':')[1]));
    assert.deepEqual(
      order,
      [...order].sort((a, b) => a - b),
      'in their order',
    );
  }

  check(): void {
    for (const link of this.links) {
      const mine = this.asked.filter((asked) => asked.link === link);
      const replies = link.sent.filter((message): message is Reply => message.type === TYPE.REPLY);
      const told = mine.filter(({ outcome }) => outcome !== undefined && outcome !== 'gone');
      assert.equal(replies.length, link.sent.length, 'nothing but REPLYs');
      assert.equal(new Set(replies.map(({ id }) => id)).size, replies.length, 'each once');
      assert.deepEqual(
        replies.map(({ id, status }) => [id, status]).sort(),
        told.map(({ id, outcome }) => [id, outcome]).sort(),
      );
      if (link.isLive) assert.equal(link.inFlight, mine.length - told.length);
    }
    const open = this.asked.filter(({ outcome }) => outcome === undefined).length;
    assert.equal(this.paths.requests.size, open);
    assert.equal(this.paths.counters.requestsOpen, open);
  }
}

t.test('requests: exactly one answer each, whatever comes in whatever order', async (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const run = new Run();
      for (const one of steps) {
        run.take(one);
        run.check();
      }
      run.take({ do: 'pass', nth: REQUEST_MS } as Step);
      run.check();
      assert.equal(run.paths.requests.size, 0, 'after the deadline none is open');
    }),
    { numRuns: 1_000 },
  );
  t.pass('held for every run');
});

t.test('requests: the deadline answers 1 at its time and not before', async (t) => {
  const paths = new Paths({ requestMs: REQUEST_MS });
  const link = paths.link();
  paths.request(link, 1);

  paths.pass(REQUEST_MS - 1);
  t.same(link.sent, []);
  paths.pass(1);

  t.match(link.sent, [{ type: TYPE.REPLY, id: 1, status: 1 }]);
  t.equal(paths.counters.ownReplies.timedOut, 1);
});

t.test('requests: a REQUEST that no queue takes is answered 2 before its confirm', async (t) => {
  const paths = new Paths();
  const link = paths.link();
  paths.request(link, 1);

  paths.channel.giveBack(0);
  t.match(link.sent, [{ type: TYPE.REPLY, id: 1, status: 2 }]);
  paths.channel.confirm(1);

  t.equal(link.sent.length, 1);
  t.equal(paths.publisher.size, 0);
});

t.test('requests: expired while the broker is away, it gives up its place there', async (t) => {
  const paths = new Paths({ requestMs: REQUEST_MS, publishWindowMax: 3 });
  const link = paths.link();
  paths.request(link, 1);
  paths.loseChannel();
  paths.event(link, 2);
  paths.request(link, 3);
  t.equal(paths.publisher.isFull(), true);

  paths.pass(REQUEST_MS);

  t.same(
    link.sent.map((message) => [message.type, (message as Reply).id]),
    [
      [TYPE.REPLY, 1],
      [TYPE.REPLY, 3],
    ],
  );
  t.equal(paths.publisher.size, 1, 'the EVENT alone waits on');
  t.same(paths.reopen().bodies().length, 1);
});

t.test('requests: expired before its channel is lost, it gives up its place then', async (t) => {
  const paths = new Paths({ requestMs: REQUEST_MS });
  const link = paths.link();
  paths.request(link, 1);
  paths.pass(REQUEST_MS);
  t.equal(paths.publisher.size, 1, 'the broker may still confirm it');

  paths.loseChannel();

  t.equal(paths.publisher.size, 0);
  t.same(paths.reopen().bodies(), []);
});

t.test('requests: those of an ended link give up their places', async (t) => {
  const paths = new Paths();
  const link = paths.link();
  paths.loseChannel();
  paths.request(link, 1);
  paths.request(link, 2);

  paths.end(link);

  t.equal(paths.publisher.size, 0);
});

t.test('requests: an open REQUEST that the broker has holds no payload', async (t) => {
  const paths = new Paths();
  const link = paths.link();
  paths.request(link, 1);
  const open = paths.requests.find(link.asEndpoint, 1);
  t.ok(open?.publishing);

  paths.channel.confirm(1);

  t.equal(open?.publishing, undefined);
  t.equal(paths.requests.find(link.asEndpoint, 1), open, 'and is open still');
  paths.reply({ correlationId: `${link.id}:1` });
  t.match(link.sent, [{ type: TYPE.REPLY, id: 1, status: 0 }]);
});
