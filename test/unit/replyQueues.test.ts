/** Queues that backends name: each has its turn and its share, and none holds up another. */
import t from 'tap';
import { type LimitName, makeLimits } from '../../src/base/limits.ts';
import type { Publishing } from '../../src/broker/publisher.ts';
import { type Answer, ReplyQueues } from '../../src/broker/replyQueues.ts';

function build(limits: Partial<Record<LimitName, number>> = {}, room = Number.POSITIVE_INFINITY) {
  const sent: Publishing[] = [];
  const dropped: string[] = [];
  const confirmed: string[] = [];
  const world = { room, rooms: 0 };
  const queues = new ReplyQueues({
    publisher: {
      isFull: () => sent.length >= world.room,
      publish: (publishing) => void sent.push(publishing),
    },
    limits: makeLimits(limits),
    onRoom: () => {
      world.rooms += 1;
    },
  });
  const tell = (queue: string, text: string, isRepeated = true) => {
    const answer: Answer = {
      kind: 'outcome',
      queue,
      body: Buffer.from(text),
      isRepeated,
      properties: () => ({}),
      onConfirm: () => confirmed.push(text),
      onDrop: (reason) => dropped.push(`${text} ${reason}`),
    };
    queues.publish(answer);
  };
  /** Nack, as the publisher does it: who is not to go again is given up. */
  const nack = (publishing: Publishing) => {
    if (publishing.onNack() === 'drop') publishing.onDrop('refused');
  };
  return { queues, sent, dropped, confirmed, world, tell, nack };
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

t.test('reply queues: to the default exchange, by the name as it was given', async (t) => {
  const { sent, tell, confirmed, queues } = build();
  tell('backend.\xff', 'one');
  t.match(sent, [{ exchange: '', routingKey: 'backend.\xff', body: Buffer.from('one') }]);
  t.equal(queues.size, 1);
  sent[0]?.onConfirm();
  t.same(confirmed, ['one']);
  t.equal(queues.size, 0);
});

t.test('reply queues: each in its order, and by turns', async (t) => {
  const { queues, sent, world, tell } = build({}, 0);
  for (const n of upTo(3)) tell('a', `a${n}`);
  for (const n of upTo(3)) tell('b', `b${n}`);

  world.room = 6;
  queues.makeRoom();

  t.same(
    sent.map(({ body }) => body.toString()),
    ['a0', 'b0', 'a1', 'b1', 'a2', 'b2'],
  );
});

t.test('reply queues: one that answers nothing has a share of what is under way', async (t) => {
  const { queues, sent, tell } = build();
  for (const n of upTo(1_000)) tell('mute', `m${n}`);
  tell('b', 'b');

  const mute = sent.filter(({ routingKey }) => routingKey === 'mute');
  t.equal(mute.length, 64);
  t.equal(sent.at(-1)?.routingKey, 'b');
  mute[0]?.onConfirm();
  queues.makeRoom();
  t.equal(sent.length, 66, 'the next one of it');
});

t.test('reply queues: one that refuses keeps 64, and what is more is dropped', async (t) => {
  const { queues, sent, tell, nack, dropped, confirmed } = build();
  for (const n of upTo(1_000)) tell('full', `f${n}`);
  tell('b', 'b');
  t.equal(queues.size, 1_001);

  nack(sent[0] as Publishing);
  t.equal(queues.size, 64 + 1);
  t.equal(dropped.length, 936);
  t.ok(dropped.every((text) => text.endsWith('crowded')));
  tell('full', 'late');
  t.equal(dropped.at(-1), 'late crowded');
  sent.find(({ routingKey }) => routingKey === 'b')?.onConfirm();
  t.same(confirmed, ['b']);

  // It takes one: it is as good as any other again.
  sent[1]?.onConfirm();
  for (const n of upTo(200)) tell('full', `again${n}`);
  t.equal(queues.size, 63 + 200);
});

t.test('reply queues: an answer to a question does not go again', async (t) => {
  const { queues, sent, tell, nack, dropped } = build();
  tell('full', 'page', false);
  nack(sent[0] as Publishing);
  t.same(dropped, ['page refused']);
  t.equal(queues.size, 0);
});

t.test('reply queues: full by number or bytes, and room is told', async (t) => {
  for (const limits of [{ publishWindowMax: 2 }, { publishWindowBytes: 4 }]) {
    const { queues, sent, world, tell } = build(limits);
    tell('a', 'aa');
    t.equal(queues.isFull(), false);
    tell('b', 'bb');
    t.equal(queues.isFull(), true);
    sent[0]?.onConfirm();
    t.equal(queues.isFull(), false);
    t.equal(world.rooms, 1);
  }
});
