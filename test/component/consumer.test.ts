/** The consumer against a scripted channel: prefetch, one ack per turn, and its ends. */
import t from 'tap';
import { Consumer } from '../../src/broker/consumer.ts';
import { FakeChannel } from '../helpers/fakes/fakeChannel.ts';

async function build(onCancel = () => {}) {
  const seen: string[] = [];
  const consumer = new Consumer((message) => seen.push(message.content.toString()));
  const channel = new FakeChannel();
  await consumer.open(channel, 'replies', 64, onCancel);
  return { seen, consumer, channel };
}

const bodies = (...texts: string[]) => texts.map((body) => ({ body }));
const turn = () => new Promise((resolve) => setImmediate(resolve));

t.test('consumer: consumes its queue with the prefetch', async (t) => {
  const { channel } = await build();

  t.equal(channel.queue, 'replies');
  t.equal(channel.prefetched, 64);
});

t.test('consumer: decides each delivery in its turn, and acks all of a turn at once', async (t) => {
  const { channel, seen } = await build();

  channel.deliver(...bodies('a', 'b', 'c'));
  t.same(seen, ['a', 'b', 'c'], 'in order, before the turn ends');
  t.same(channel.acks, []);
  await turn();
  t.same(channel.acks, [[3, true]]);
  channel.deliver(...bodies('d'));
  await turn();

  t.same(channel.acks, [
    [3, true],
    [4, true],
  ]);
});

t.test('consumer: nothing is acked on a channel that is gone', async (t) => {
  const { channel, consumer } = await build();

  channel.deliver(...bodies('a'));
  consumer.down();
  await turn();

  t.same(channel.acks, []);
});

t.test('consumer: a new channel’s deliveries are acked on the new channel', async (t) => {
  const { channel, consumer, seen } = await build();
  channel.deliver(...bodies('a'));
  consumer.down();
  const next = new FakeChannel();
  await consumer.open(next, 'replies', 64, () => {});

  next.deliver(...bodies('a', 'b'));
  await turn();

  t.same(seen, ['a', 'a', 'b']);
  t.same(channel.acks, []);
  t.same(next.acks, [[2, true]]);
});

t.test('consumer: a deleted queue is told, and what came before it is not acked', async (t) => {
  let cancels = 0;
  const { channel, seen } = await build(() => {
    cancels += 1;
    // As the acceptor does: it closes the connection, which from then on takes nothing.
    channel.isClosing = true;
  });

  channel.deliver(...bodies('a', 'b'));
  channel.cancelByBroker();
  await turn();

  t.same(seen, ['a', 'b']);
  t.equal(cancels, 1);
  t.same(channel.acks, []);
});

t.test('consumer: a channel that is closing when the turn ends is not an error', async (t) => {
  const { channel } = await build();

  channel.deliver(...bodies('a'));
  channel.isClosing = true;
  await turn();

  t.same(channel.acks, []);
});

t.test('consumer: close takes no more, then deletes the queue', async (t) => {
  const { channel, consumer } = await build();

  await consumer.close('replies');

  t.same(channel.ended, [
    ['cancel', 'tag-1'],
    ['deleteQueue', 'replies'],
  ]);
});

t.test('consumer: close does nothing without a channel, and outlives a closing one', async (t) => {
  const { channel, consumer } = await build();
  channel.isClosing = true;
  await consumer.close('replies');
  consumer.down();
  await consumer.close('replies');

  t.same(channel.ended, []);
});
