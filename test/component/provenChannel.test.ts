/**
 * A channel without confirms, and the publisher on it: what a question proves, when it is asked,
 * and what becomes of unproved messages when the broker hangs, closes the channel or is lost.
 */
import { mock } from 'node:test';
import t, { type Test } from 'tap';
import { type LimitName, makeLimits } from '../../src/base/limits.ts';
import type { DropReason } from '../../src/base/metrics.ts';
import { ProvenChannel } from '../../src/broker/provenChannel.ts';
import { Publisher, type Publishing } from '../../src/broker/publisher.ts';
import { FakeChannel } from '../helpers/fakes/fakeChannel.ts';

const QUIET_MS = 1_000;
/** The first question comes so long after the first message. */
const ASK_MS = 250;

/** Questions wait until the test answers them. */
class AskedChannel extends FakeChannel {
  asks = 0;
  #answer: (() => void) | undefined;

  override async prefetch(count: number): Promise<void> {
    this.asks += 1;
    this.prefetched = count;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#answer = resolve;
    await promise;
  }

  /** The broker answers the question that is under way. */
  async answer(): Promise<void> {
    this.#answer?.();
    await new Promise((resolve) => setImmediate(resolve));
  }

  resent(): boolean[] {
    return this.published.map(({ options }) => options.headers?.resent === true);
  }
}

function build(t: Test, given: Partial<Record<LimitName, number>> = {}) {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const limits = makeLimits({ confirmQuietMs: QUIET_MS, ...given });
  const proved: string[] = [];
  const dropped: [string, DropReason][] = [];
  const returned: string[] = [];
  const unwanted = new Set<string>();
  let now = 1_000;
  const onReturn = (messageId: string) => returned.push(messageId);
  const publisher = new Publisher({ limits, now: () => now, onRoom: () => {}, onReturn });
  const part = { confirming: new FakeChannel(), proven: undefined as ProvenChannel | undefined };
  const open = () => {
    const channel = new AskedChannel();
    part.confirming = new FakeChannel();
    const { confirming } = part;
    part.proven = new ProvenChannel({ plain: channel, confirming, limits, now: () => now });
    publisher.open(part.proven);
    return channel;
  };
  const publish = (...bodies: string[]) =>
    bodies.map((body) => {
      const one: Publishing = {
        kind: 'request',
        exchange: 'x',
        routingKey: 'k',
        body: Buffer.from(body),
        isWanted: () => !unwanted.has(body),
        properties: (isResend) => ({
          messageId: body,
          headers: isResend ? { resent: true } : {},
        }),
        onConfirm: () => proved.push(body),
        onNack: () => {
          // As a REQUEST: its device gets status 4.
          part.proven?.doubt();
          return 'drop';
        },
        onDrop: (reason) => dropped.push([body, reason]),
      };
      publisher.publish(one);
      return one;
    });
  const wait = (ms: number) => {
    now += ms;
    mock.timers.tick(ms);
  };
  /** The channel closes, by the broker's will or with its connection. */
  const lose = (channel: AskedChannel, isForCause = false) => {
    channel.isClosing = true;
    channel.emit('close');
    publisher.down(isForCause);
  };
  t.teardown(() => publisher.close());
  const facts = { proved, dropped, returned, unwanted };
  const channel = open();
  return { ...facts, part, publisher, channel, open, publish, wait, lose };
}

const many = (count: number) => Array.from({ length: count }, (_, i) => `r${i}`);

t.test('proven: one answer proves all that was published before its question', async (t) => {
  const { publish, channel, wait, proved, publisher } = build(t);
  publish('r1', 'r2');
  wait(ASK_MS - 1);
  t.equal(channel.asks, 0);

  wait(1);
  publish('r3');
  t.equal(channel.asks, 1);
  await channel.answer();

  t.same(proved, ['r1', 'r2'], 'r3 came after the question');
  t.equal(publisher.size, 1);
  wait(ASK_MS);
  await channel.answer();
  t.same(proved, ['r1', 'r2', 'r3']);
  wait(10 * QUIET_MS);
  t.equal(channel.asks, 2, 'nothing is asked while all is proved');
});

t.test('proven: a reply proves its own message, once', async (t) => {
  const { publish, publisher, channel, wait, proved } = build(t);
  const [, second] = publish('r1', 'r2');

  publisher.proven(second as Publishing);
  publisher.proven(second as Publishing);

  t.same(proved, ['r2']);
  t.equal(publisher.size, 1);
  wait(ASK_MS);
  await channel.answer();
  t.same(proved, ['r2', 'r1']);
});

t.test('proven: messages fill the window, and many are proved before the time', async (t) => {
  const { publish, publisher, channel, proved } = build(t, { publishWindowMax: 8 });

  publish(...many(8));
  t.equal(publisher.isFull(), true);
  t.equal(channel.asks, 1, 'half of the window was enough');
  await channel.answer();
  t.same(proved, many(4));
  t.equal(publisher.isFull(), false);
  t.equal(channel.asks, 2, 'the others are asked for at once');
  await channel.answer();

  t.same(proved, many(8));
});

t.test('proven: a broker that does not answer gets no more, and no second question', async (t) => {
  const { publish, channel, wait, proved, publisher } = build(t);
  publish('r1');
  wait(QUIET_MS);
  publish('r2');
  t.same(channel.bodies(), ['r1', 'r2'], 'it has been silent for no longer than it may');

  wait(1);
  const [, gone] = publish('r3', 'r4');
  wait(60_000);
  t.same(channel.bodies(), ['r1', 'r2']);
  t.equal(channel.asks, 1);
  t.ok(publisher.owedMs > 60_000, 'which is told');

  publisher.withdraw(gone as Publishing);
  await channel.answer();
  t.same(proved, ['r1']);
  t.same(channel.bodies(), ['r1', 'r2', 'r3'], 'it lives: what waited goes, but for the withdrawn');
});

t.test('proven: a reply does not hide that the broker takes no more', async (t) => {
  const { publish, publisher, channel, wait } = build(t);
  const [first] = publish('r1', 'r2');
  wait(QUIET_MS);

  publisher.proven(first as Publishing);
  wait(1);
  publish('r3');

  t.same(channel.bodies(), ['r1', 'r2']);
});

t.test('proven: only what is unproved and wanted goes again after a loss', async (t) => {
  const { publish, publisher, channel, wait, lose, open, unwanted, proved } = build(t);
  publish('r1');
  wait(ASK_MS);
  await channel.answer();
  const [, replied] = publish('r2', 'r3', 'r4');
  publisher.proven(replied as Publishing);
  unwanted.add('r4');

  lose(channel);
  const next = open();

  t.same(next.bodies(), ['r2']);
  t.same(next.resent(), [true]);
  wait(ASK_MS);
  await channel.answer();
  t.same(proved, ['r1', 'r3'], 'what the old channel says proves nothing now');
  t.equal(channel.asks, 1, 'and it is asked no more');
  await next.answer();
  t.same(proved, ['r1', 'r3', 'r2']);
});

t.test('proven: a reply to the first copy settles a message that waits to go again', async (t) => {
  const { publish, publisher, channel, lose, open } = build(t);
  const [first] = publish('r1') as [Publishing];
  lose(channel);

  publisher.proven(first);
  publisher.withdraw(first);

  t.same(open().bodies(), []);
  t.equal(publisher.size, 0);
});

t.test('proven: one that came back is told at once, and proved with the others', async (t) => {
  const { publish, channel, wait, returned, proved } = build(t);
  publish('r1', 'r2');
  channel.giveBack(0);

  t.same(returned, ['r1']);
  wait(ASK_MS);
  await channel.answer();
  t.same(proved, ['r1', 'r2']);
});

t.test('proven: the message for which the broker closes the channel is found', async (t) => {
  const { publish, channel, lose, open, dropped, proved, publisher } = build(t);
  publish('good', 'bad');
  lose(channel, true);
  for (let tries = 0; publisher.size > 0 && tries < 4; tries += 1) {
    const next = open();
    while (next.bodies().at(-1) !== 'bad') {
      t.equal(next.asks, next.published.length, 'each suspect is asked about without delay');
      await next.answer();
    }
    lose(next, true);
  }

  t.same(proved, ['good']);
  t.same(dropped, [['bad', 'poisonous']]);
});

t.test('proven: a full write buffer is told, and its end too', async (t) => {
  const { publish, channel } = build(t);
  channel.chokesAt = 1;
  publish('r1', 'r2');
  t.same(channel.bodies(), ['r1']);

  channel.chokesAt = Number.POSITIVE_INFINITY;
  channel.emit('drain');

  t.same(channel.bodies(), ['r1', 'r2']);
});

t.test('proven: how long an answer takes is told from how long a reply does', async (t) => {
  const { publish, publisher, channel, wait } = build(t);
  for (const body of ['r1', 'r2', 'r3']) {
    publish(body);
    wait(ASK_MS);
    wait(1);
    await channel.answer();
    t.equal(publisher.isSlow, false, 'the time before a question does not count');
  }

  publish('r4');
  wait(ASK_MS);
  wait(100);

  t.equal(publisher.isSlow, true);
});

t.test('proven: in doubt, messages go with confirms, and a refusal is known', async (t) => {
  const { publish, part, channel, wait, proved, dropped } = build(t, { requestMs: 10_000 });
  publish('r1');
  part.proven?.doubt();
  publish('r2', 'r3', 'r4');

  t.same(channel.bodies(), ['r1']);
  t.same(part.confirming.bodies(), ['r2', 'r3', 'r4']);
  part.confirming.nack(2);
  t.same(dropped, [['r3', 'refused']]);
  part.confirming.confirm(1);
  t.same(proved, ['r2'], 'a confirm proves nothing of what went without');
  wait(ASK_MS);
  await channel.answer();
  t.same(proved, ['r2', 'r1'], 'nor an answer of what goes with');
  part.confirming.confirm(3, true);
  t.same(proved, ['r2', 'r1', 'r4']);
});

t.test('proven: doubt ends, and what is unconfirmed is not taken for proved', async (t) => {
  const { publish, part, channel, wait, proved, publisher } = build(t, { requestMs: 10_000 });
  part.proven?.doubt();
  publish('r1');
  part.confirming.confirm(1);
  wait(9_999);
  publish('r2');
  t.same(part.confirming.bodies(), ['r1', 'r2']);

  wait(1);
  publish('r3');
  wait(ASK_MS);
  await channel.answer();
  t.same(channel.bodies(), ['r3']);
  t.same(proved, ['r1'], 'the answer is kept back');
  part.confirming.confirm(2);

  t.same(proved, ['r1', 'r2', 'r3']);
  t.equal(publisher.size, 0);
});
