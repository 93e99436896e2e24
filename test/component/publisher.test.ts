/** The publisher against a scripted channel: its window, confirms, nacks and lost channels. */
import { mock } from 'node:test';
import t, { type Test } from 'tap';
import { publishCounts } from '../../src/acceptor/publishCounts.ts';
import { type LimitName, makeLimits } from '../../src/base/limits.ts';
import { type DropReason, makeCounters } from '../../src/base/metrics.ts';
import { Publisher, type Publishing } from '../../src/broker/publisher.ts';
import { MESSAGE_TYPES } from '../../src/wire/message.ts';
import { FakeChannel } from '../helpers/fakes/fakeChannel.ts';

interface Part {
  readonly publisher: Publisher;
  readonly counters: ReturnType<typeof makeCounters>;
  readonly channel: FakeChannel;
  readonly confirmed: string[];
  readonly nacked: string[];
  /** Body, and why. */
  readonly dropped: [string, DropReason][];
  readonly returned: string[];
  rooms: number;
  /** Bodies of publishings that are no longer wanted. */
  readonly unwanted: Set<string>;
  publish(...bodies: string[]): Publishing[];
  /** Time passes for the publisher. */
  pass(ms: number): void;
  /** The same, and its timers fire, which the test has mocked. */
  wait(ms: number): void;
  /** A new channel takes the place of the last. */
  reopen(): FakeChannel;
}

function build(t: Test, limits: Partial<Record<LimitName, number>> = {}): Part {
  const counters = makeCounters(MESSAGE_TYPES);
  const confirmed: string[] = [];
  const nacked: string[] = [];
  const dropped: [string, DropReason][] = [];
  const returned: string[] = [];
  const unwanted = new Set<string>();
  let now = 1_000;
  const publisher = new Publisher({
    limits: makeLimits(limits),
    counts: publishCounts(counters),
    now: () => now,
    onRoom: () => {
      part.rooms += 1;
    },
    onReturn: (messageId) => returned.push(messageId),
  });
  const reopen = () => {
    const channel = new FakeChannel();
    publisher.open(channel);
    return channel;
  };
  const publishing = (body: string): Publishing => ({
    kind: body.startsWith('r') ? 'request' : 'event',
    exchange: 'x',
    routingKey: 'k',
    body: Buffer.from(body),
    isWanted: () => !unwanted.has(body),
    properties: (isResend) => {
      if (unwanted.has(body)) return undefined;
      return { messageId: body, headers: isResend ? { resent: true } : {} };
    },
    onConfirm: () => confirmed.push(body),
    onNack: () => {
      nacked.push(body);
      return body.startsWith('r') ? 'drop' : 'again';
    },
    onDrop: (reason) => dropped.push([body, reason]),
  });
  const part: Part = {
    publisher,
    counters,
    channel: new FakeChannel(),
    confirmed,
    nacked,
    dropped,
    returned,
    rooms: 0,
    unwanted,
    publish: (...bodies) =>
      bodies.map((body) => {
        const one = publishing(body);
        publisher.publish(one);
        return one;
      }),
    pass: (ms) => {
      now += ms;
    },
    wait: (ms) => {
      now += ms;
      mock.timers.tick(ms);
    },
    reopen,
  };
  publisher.open(part.channel);
  t.teardown(() => publisher.close());
  return part;
}

t.test('publisher: a message is sent at once and owned until its confirm', async (t) => {
  const { publisher, channel, confirmed, publish, counters } = build(t);

  publish('e1', 'e2');
  t.same(channel.bodies(), ['e1', 'e2']);
  t.equal(publisher.size, 2);
  t.equal(counters.confirmBytesWaiting, 4);
  t.same(confirmed, []);
  channel.confirm(1);
  channel.confirm(2);

  t.same(confirmed, ['e1', 'e2']);
  t.equal(publisher.size, 0);
  t.match(counters, { confirms: 2, confirmsWaiting: 0, confirmBytesWaiting: 0, resends: 0 });
});

t.test(
  'publisher: confirms come single, multiple and out of order, each counts once',
  async (t) => {
    const { publisher, channel, confirmed, publish, counters } = build(t);
    publish('e1', 'e2', 'e3', 'e4', 'e5', 'e6');

    channel.confirm(3);
    channel.confirm(3);
    t.same(confirmed, ['e3']);
    channel.confirm(4, true);
    t.same(confirmed, ['e3', 'e1', 'e2', 'e4']);
    channel.confirm(2, true);
    channel.confirm(99);
    channel.confirm(6);
    channel.confirm(5, true);

    t.same(confirmed, ['e3', 'e1', 'e2', 'e4', 'e6', 'e5']);
    t.equal(counters.confirms, 6);
    t.equal(publisher.size, 0);
  },
);

t.test('publisher: the window is bounded in messages', async (t) => {
  const part = build(t, { publishWindowMax: 3 });
  const { publisher, channel, publish } = part;

  publish('e1', 'e2');
  t.equal(publisher.isFull(), false);
  publish('e3');
  t.equal(publisher.isFull(), true);
  const { rooms } = part;
  channel.confirm(2);

  t.equal(publisher.isFull(), false);
  t.equal(part.rooms, rooms + 1, 'and says when there is room');
});

t.test('publisher: the window is bounded in payload bytes', async (t) => {
  const part = build(t, { publishWindowBytes: 10 });
  const { publisher, channel, publish } = part;

  publish('e12345678');
  t.equal(publisher.isFull(), false);
  publish('e');
  t.equal(publisher.isFull(), true);
  const { rooms } = part;
  channel.confirm(1);

  t.equal(publisher.isFull(), false);
  t.equal(part.rooms, rooms + 1);
});

t.test('publisher: the bounds hold while there is no channel', async (t) => {
  const part = build(t, { publishWindowMax: 2 });
  const { publisher, publish, confirmed } = part;
  publisher.down();

  publish('e1', 'e2');
  t.equal(publisher.isFull(), true);
  const { rooms } = part;
  const channel = part.reopen();
  t.same(channel.bodies(), ['e1', 'e2']);
  t.equal(part.rooms, rooms, 'sent is not confirmed: there is no room yet');
  channel.confirm(2, true);

  t.same(confirmed, ['e1', 'e2']);
  t.equal(publisher.isFull(), false);
});

t.test(
  'publisher: what a lost channel left unconfirmed goes again, in order, resent',
  async (t) => {
    const part = build(t);
    const { publisher, channel, publish, confirmed, counters } = part;
    publish('e1', 'e2', 'e3', 'e4');
    channel.confirm(2);

    publisher.down();
    publish('e5');
    const next = part.reopen();
    publish('e6');

    t.same(next.bodies(), ['e1', 'e3', 'e4', 'e5', 'e6']);
    t.same(
      next.published.map(({ options }) => options.headers?.resent ?? false),
      [true, true, true, false, false],
    );
    t.same(
      next.published.map(({ options }) => options.messageId),
      ['e1', 'e3', 'e4', 'e5', 'e6'],
      'under the same message ids',
    );
    t.equal(counters.resends, 3);
    next.confirm(5, true);
    t.same(confirmed, ['e2', 'e1', 'e3', 'e4', 'e5', 'e6']);
  },
);

t.test('publisher: lost again and again, each message is confirmed once', async (t) => {
  const part = build(t);
  part.publish('e1', 'e2', 'e3');
  for (let losses = 0; losses < 5; losses += 1) {
    part.publisher.down();
    const channel = part.reopen();
    t.same(channel.bodies(), ['e1', 'e2', 'e3']);
  }
  part.publisher.down();

  part.reopen().confirm(3, true);

  t.same(part.confirmed, ['e1', 'e2', 'e3']);
  t.equal(part.publisher.size, 0);
});

t.test('publisher: late answers of an old channel are ignored', async (t) => {
  const part = build(t);
  part.publish('e1', 'e2');
  part.publisher.down();
  part.channel.confirm(1);
  const next = part.reopen();
  part.publish('e3');

  part.channel.confirm(2, true);
  part.channel.nack(1);
  t.same(part.confirmed, []);
  t.same(part.nacked, []);
  t.equal(part.publisher.size, 3);
  next.confirm(3, true);

  t.same(part.confirmed, ['e1', 'e2', 'e3']);
});

t.test('publisher: a message no longer wanted is not sent again', async (t) => {
  const part = build(t);
  part.publish('r1', 'e2', 'r3');
  part.publisher.down();
  part.unwanted.add('r1').add('r3');

  const next = part.reopen();

  t.same(next.bodies(), ['e2']);
  t.equal(part.publisher.size, 1);
  t.equal(part.counters.confirmBytesWaiting, 2);
  next.confirm(1);
  t.same(part.confirmed, ['e2']);
});

t.test(
  'publisher: a nacked EVENT goes again after nackRetryMs, a REQUEST is given up',
  async (t) => {
    mock.timers.enable({ apis: ['setTimeout'] });
    t.teardown(() => mock.timers.reset());
    const part = build(t, { nackRetryMs: 250 });
    part.publish('e1', 'r2', 'e3');

    part.channel.nack(3, true);
    t.same(part.nacked, ['e1', 'r2', 'e3']);
    t.equal(part.publisher.size, 2, 'the EVENTs stay owned');
    part.wait(247);
    t.equal(part.channel.published.length, 3, 'not before');
    part.wait(3);

    t.same(part.channel.bodies(), ['e1', 'r2', 'e3', 'e1', 'e3']);
    t.same(part.channel.published[4]?.options.headers, { resent: true });
    part.channel.confirm(5, true);
    t.same(part.confirmed, ['e1', 'e3']);
    t.match(part.counters, { nacks: 3, confirms: 2, resends: 2, confirmsWaiting: 0 });
  },
);

t.test('publisher: nacked EVENTs fill the window, and their confirm makes room', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const part = build(t, { publishWindowMax: 1 });
  part.publish('e1');

  part.channel.nack(1);
  t.equal(part.publisher.isFull(), true);
  part.wait(250);
  part.channel.confirm(2);

  t.equal(part.publisher.isFull(), false);
  t.same(part.confirmed, ['e1']);
});

t.test('publisher: a channel lost while a nacked EVENT waits sends it once', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const part = build(t, { confirmQuietMs: 60_000 });
  part.publish('e1', 'e2');
  part.channel.nack(1);
  part.publisher.down();

  const next = part.reopen();
  part.wait(10_000);

  t.same(next.bodies().sort(), ['e1', 'e2']);
});

t.test('publisher: a returned message is told by its id', async (t) => {
  const { channel, publish, returned, counters } = build(t);
  publish('r1', 'r2');

  channel.giveBack(1);
  channel.emit('return', { fields: {}, properties: {} });

  t.same(returned, ['r2']);
  t.equal(counters.returns, 2);
});

t.test('publisher: a channel that is closing costs nothing but a re-send', async (t) => {
  const part = build(t);
  part.publish('e1');
  part.channel.isClosing = true;

  part.publish('e2', 'e3');
  t.equal(part.publisher.size, 3);
  part.publisher.down();
  const next = part.reopen();

  t.same(next.bodies(), ['e1', 'e2', 'e3']);
  t.same(
    next.published.map(({ options }) => options.headers?.resent ?? false),
    [true, false, false],
  );
  next.confirm(3, true);
  t.same(part.confirmed, ['e1', 'e2', 'e3']);
});

t.test('publisher: a new channel that closes amid the backlog loses nothing', async (t) => {
  const part = build(t);
  part.publisher.down();
  part.publish('e1', 'e2', 'e3', 'e4');
  const closing = new FakeChannel();
  const { publish } = closing;
  closing.publish = (exchange, routingKey, body, options) => {
    closing.isClosing = closing.published.length === 2;
    return publish.call(closing, exchange, routingKey, body, options);
  };

  part.publisher.open(closing);
  t.same(closing.bodies(), ['e1', 'e2']);
  t.equal(part.publisher.size, 4);

  t.same(part.reopen().bodies(), ['e1', 'e2', 'e3', 'e4']);
});

t.test('publisher: a confirm that publishes more keeps its books', async (t) => {
  const part = build(t);
  const { confirmed } = part;
  const push = confirmed.push.bind(confirmed);
  confirmed.push = (body: string) => {
    if (body === 'e1') part.publish('e3');
    return push(body);
  };
  part.publish('e1', 'e2');

  part.channel.confirm(2, true);

  t.same(confirmed, ['e1', 'e2']);
  t.same(part.channel.bodies(), ['e1', 'e2', 'e3']);
  t.equal(part.publisher.size, 1);
});

t.test('publisher: a broker that blocks gets nothing, and no expired one afterwards', async (t) => {
  const { publisher, publish, channel, unwanted } = build(t);
  publish('e1');
  publisher.block(true);
  publish('r2', 'e3');
  t.same(
    channel.published.map(({ body }) => body),
    ['e1'],
  );
  t.equal(publisher.size, 3, 'they count against the window');

  unwanted.add('r2');
  publisher.block(false);

  t.same(
    channel.published.map(({ body }) => body),
    ['e1', 'e3'],
  );
  t.equal(channel.published[1]?.options.headers?.resent, undefined, 'it was never sent before');
});

t.test('publisher: what is withdrawn while the broker is away gives up its place', async (t) => {
  const part = build(t, { publishWindowMax: 3 });
  const { publisher, counters } = part;
  publisher.down();
  const requests = part.publish('r1', 'e2', 'r3');
  t.equal(publisher.isFull(), true);
  const { rooms } = part;

  publisher.withdraw(requests[0] as Publishing);
  publisher.withdraw(requests[0] as Publishing);

  t.equal(publisher.isFull(), false);
  t.equal(part.rooms, rooms + 1, 'and says so, once');
  t.match(counters, { confirmsWaiting: 2, confirmBytesWaiting: 4 });
  t.same(part.reopen().bodies(), ['e2', 'r3']);
});

t.test('publisher: what is on its way to the broker cannot be withdrawn', async (t) => {
  const part = build(t);
  const [request] = part.publish('r1');

  part.publisher.withdraw(request as Publishing);
  t.equal(part.publisher.size, 1);
  part.channel.confirm(1);

  t.same(part.confirmed, ['r1']);
});

t.test('publisher: unwanted when the channel is lost, it gives up its place at once', async (t) => {
  const part = build(t, { publishWindowMax: 2 });
  part.publish('r1', 'e2');
  part.unwanted.add('r1');
  const { rooms } = part;

  part.publisher.down();

  t.equal(part.publisher.size, 1);
  t.equal(part.rooms, rooms + 1, 'without waiting for the broker');
  t.equal(part.counters.confirmBytesWaiting, 2);
});

t.test('publisher: a full write buffer holds back what can then still be withdrawn', async (t) => {
  const { publisher, publish, channel } = build(t);
  channel.chokesAt = 2;
  const [, , late] = publish('e1', 'e2', 'r3', 'e4');
  t.same(channel.bodies(), ['e1', 'e2']);
  t.equal(publisher.size, 4, 'all count against the window');

  publisher.withdraw(late as Publishing);
  channel.chokesAt = Number.POSITIVE_INFINITY;
  channel.emit('drain');

  t.same(channel.bodies(), ['e1', 'e2', 'e4']);
  t.equal(channel.published[2]?.options.headers?.resent, undefined, 'never sent before');
});

t.test('publisher: a channel lost with a full buffer does not hold up the next', async (t) => {
  const part = build(t);
  part.channel.chokesAt = 1;
  part.publish('e1', 'e2');
  part.publisher.down();

  const next = part.reopen();
  part.channel.emit('drain');
  part.publish('e3');

  t.same(next.bodies(), ['e1', 'e2', 'e3']);
});

t.test('publisher: a drained buffer does not hurry what was nacked', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const part = build(t);
  part.channel.chokesAt = 2;
  part.publish('e1', 'e2', 'e3');
  part.channel.nack(1);
  part.channel.chokesAt = Number.POSITIVE_INFINITY;
  part.channel.emit('drain');

  t.same(part.channel.bodies(), ['e1', 'e2', 'e3']);
  part.wait(250);

  t.same(part.channel.bodies(), ['e1', 'e2', 'e3', 'e1']);
});

t.test(
  'publisher: a broker that hangs gets no more, and no expired one when it wakes',
  async (t) => {
    const part = build(t, { confirmQuietMs: 1_000 });
    const { publisher, publish, channel } = part;
    publish('e1');
    part.pass(600);
    publish('e2');
    part.pass(401);
    const [, late] = publish('e3', 'r4');
    t.same(channel.bodies(), ['e1', 'e2'], 'e1 has waited for too long');

    publisher.withdraw(late as Publishing);
    channel.confirm(1);

    t.same(channel.bodies(), ['e1', 'e2', 'e3'], 'one confirm shows that it lives');
    t.equal(channel.published[2]?.options.headers?.resent, undefined);
  },
);

t.test('publisher: with nothing unconfirmed no silence is too long', async (t) => {
  const part = build(t, { confirmQuietMs: 1_000 });
  part.publish('e1');
  part.channel.confirm(1);
  part.pass(3_600_000);

  part.publish('e2', 'e3');

  t.same(part.channel.bodies(), ['e1', 'e2', 'e3']);
});

t.test('publisher: a nacked EVENT goes again ever more rarely, and is given up', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const part = build(t, { nackRetryMs: 100, nackRetryMaxMs: 300, nackTriesMax: 3 });
  part.publish('e1');
  const sentAt: number[] = [];
  for (let ms = 0; ms < 2_000; ms += 50) {
    if (part.channel.published.length > sentAt.length) {
      sentAt.push(ms);
      part.channel.nack(sentAt.length);
    }
    part.wait(50);
  }

  t.same(sentAt, [0, 100, 300, 600], 'after 100, 200 and 300 ms');
  t.same(part.dropped, [['e1', 'refused']]);
  t.equal(part.publisher.size, 0);
  t.match(part.counters, { publishDrops: { refused: 1 }, confirmBytesWaiting: 0 });
});

t.test('publisher: refused EVENTs hold a quarter of the window, in messages', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const part = build(t, { publishWindowMax: 40 });
  const bodies = Array.from({ length: 30 }, (_, n) => `e${n}`);
  part.publish(...bodies);

  part.channel.nack(30, true);

  t.equal(part.publisher.size, 10);
  t.equal(part.publisher.isFull(), false, 'the rest is for others');
  t.same(
    part.dropped,
    bodies.slice(10).map((body) => [body, 'crowded']),
  );
  t.equal(part.counters.publishDrops.crowded, 20);
  part.wait(250);
  part.channel.confirm(40, true);
  t.equal(part.publisher.size, 0);
  t.same(part.confirmed, bodies.slice(0, 10));
});

t.test('publisher: refused EVENTs that are due go before no more than a few others', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const part = build(t);
  const bodies = Array.from({ length: 128 }, (_, n) => `e${n}`);
  part.publish(...bodies);
  part.channel.nack(128, true);
  part.wait(250);
  const again = () => part.channel.bodies().slice(128);
  t.same(again(), bodies.slice(0, 32), 'a quarter of what may be under way');

  t.equal(part.publisher.isFull(), false);
  part.publish('new');
  t.equal(again().at(-1), 'new', 'which waits for none of the others');

  part.channel.confirm(129);
  t.equal(again().at(-1), 'e32', 'and these go one for one');
  t.equal(again().length, 34);
});

t.test(
  'publisher: refused EVENTs that are due when the channel is lost go on the next',
  async (t) => {
    mock.timers.enable({ apis: ['setTimeout'] });
    t.teardown(() => mock.timers.reset());
    const part = build(t);
    const bodies = Array.from({ length: 32 }, (_, n) => `e${n}`);
    part.publish(...bodies);
    part.channel.nack(32, true);
    part.wait(250);
    part.publisher.down();
    const next = part.reopen();
    for (let tag = 1; tag <= 32; tag += 1) next.confirm(tag);

    t.same(new Set(next.bodies()), new Set(bodies));
    t.equal(next.published.length, 32, 'once each');
    t.equal(part.publisher.size, 0);
  },
);

t.test('publisher: and in payload bytes', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const part = build(t, { publishWindowBytes: 64 });
  part.publish('e123456789', 'e223456789', 'e323456789');

  part.channel.nack(3, true);

  t.same(part.dropped, [
    ['e223456789', 'crowded'],
    ['e323456789', 'crowded'],
  ]);
});

t.test('publisher: the message for which the broker closes the channel is found', async (t) => {
  const part = build(t);
  let { channel } = part;
  part.publish('e1', 'poison', 'e3', 'e4');
  channel.confirm(1);
  const sent: string[][] = [];
  // The broker takes all but one, and closes the channel for that.
  for (let closes = 0; closes < 10 && part.publisher.size > 0; closes += 1) {
    part.publisher.down(true);
    channel = part.reopen();
    for (let tag = 1; tag <= channel.published.length; tag += 1) {
      if (channel.bodies()[tag - 1] === 'poison') break;
      channel.confirm(tag);
    }
    sent.push(channel.bodies());
  }

  t.same(part.dropped, [['poison', 'poisonous']]);
  t.same(part.confirmed.toSorted(), ['e1', 'e3', 'e4']);
  t.same(sent, [['poison'], ['e3', 'e4', 'poison'], []], 'each suspect alone, then all is well');
  part.publish('e5', 'e6');
  t.same(channel.bodies(), ['e5', 'e6']);
  t.equal(part.counters.confirmsWaiting, 2);
});

t.test('publisher: while suspects are tried nothing else goes, and nothing is lost', async (t) => {
  const part = build(t);
  part.publish('e1', 'e2');
  part.publisher.down(true);
  const channel = part.reopen();
  part.publish('e3');
  t.same(channel.bodies(), ['e1']);

  channel.confirm(1);
  t.same(channel.bodies(), ['e1', 'e2']);
  channel.confirm(2);

  t.same(channel.bodies(), ['e1', 'e2', 'e3']);
  channel.confirm(3);
  t.same(part.confirmed, ['e1', 'e2', 'e3']);
  t.same(part.dropped, []);
});

t.test('publisher: a channel lost for no message’s sake blames none', async (t) => {
  const part = build(t);
  part.publish('e1', 'e2');
  for (let losses = 0; losses < 10; losses += 1) {
    part.publisher.down();
    t.same(part.reopen().bodies(), ['e1', 'e2']);
  }

  t.same(part.dropped, []);
});

t.test('publisher: a suspect whose lonely try is cut off is tried again', async (t) => {
  const part = build(t);
  part.publish('e1', 'e2');
  part.publisher.down(true);
  for (let losses = 0; losses < 10; losses += 1) {
    const channel = part.reopen();
    t.equal(channel.published.length, 1, 'alone');
    part.publisher.down();
  }
  const channel = part.reopen();
  channel.confirm(1);
  channel.confirm(2);

  t.same(part.confirmed.toSorted(), ['e1', 'e2']);
  t.same(part.dropped, []);
});

t.test('publisher: a suspect that is not wanted any more gives up its place', async (t) => {
  const part = build(t);
  const [request] = part.publish('r1', 'e2');
  part.publisher.down(true);

  part.publisher.withdraw(request as Publishing);

  t.equal(part.publisher.size, 1);
  t.same(part.reopen().bodies(), ['e2']);
});

t.test('publisher: what does not fit into a frame is dropped by itself', async (t) => {
  const part = build(t);
  const { publish } = part.channel;
  part.channel.publish = (exchange, key, body, options) => {
    if (body.toString() === 'odd') throw new RangeError('a header is too long');
    return publish.call(part.channel, exchange, key, body, options);
  };

  part.publish('e1', 'odd', 'e3');

  t.same(part.channel.bodies(), ['e1', 'e3']);
  t.same(part.dropped, [['odd', 'unsendable']]);
  t.equal(part.publisher.size, 2);
});

t.test('publisher: no more is under way than keeps the broker busy', async (t) => {
  const part = build(t);
  const bodies = Array.from({ length: 300 }, (_, n) => `e${n}`);
  part.publish(...bodies);
  t.equal(part.channel.published.length, 128);
  t.equal(part.publisher.isFull(), true, 'and some wait here');

  const other = build(t);
  other.publish(...bodies.slice(0, 128 + 31));
  t.equal(other.publisher.isFull(), false);
  other.publish('e159');
  t.equal(other.publisher.isFull(), true, 'but few: whoever comes next is behind them');

  part.pass(1);
  part.channel.confirm(128, true);

  const underWay = part.channel.published.length - 128;
  t.ok(underWay > 128, `a quick broker is given more: ${underWay}`);
});
