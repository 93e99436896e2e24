/** amqplib's channels write to their socket, and what they rely on in amqplib is there. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type ChannelModel, connect } from 'amqplib';
import t, { type Test } from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import { connectionOf, writeDirectly } from '../../src/broker/directWriter.ts';
import { ProvenChannel } from '../../src/broker/provenChannel.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { waitFor } from '../helpers/waitFor.ts';

const broker = await findBroker();
t.teardown(() => broker.stop());

interface Unmuxed {
  readonly model: ChannelModel;
  readonly socket: Socket;
  /** Of each system call: how many frames, or parts of such, it was given. */
  readonly writes: number[];
}

async function start(t: Test): Promise<Unmuxed> {
  const model = await connect(broker.url);
  t.teardown(() => model.close().catch(() => {}));
  const connection = connectionOf(model);
  writeDirectly(connection);
  const { stream: socket } = connection;
  const writes: number[] = [];
  const { _write, _writev } = socket;
  socket._write = (...args) => {
    writes.push(1);
    _write.apply(socket, args);
  };
  socket._writev = (chunks, callback) => {
    writes.push(chunks.length);
    _writev?.call(socket, chunks, callback);
  };
  return { model, socket, writes };
}

interface Reader {
  readonly queue: string;
  /** Resolves with the numbers in its messages, in order, when there are so many. */
  numbers(count: number): Promise<number[]>;
}

/** Of a queue of its own. */
async function reader({ model }: Unmuxed): Promise<Reader> {
  const channel = await model.createChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const read: number[] = [];
  const onMessage = (message: { content: Buffer } | null) => {
    if (message) read.push(message.content.readUInt32BE());
  };
  await channel.consume(queue, onMessage, { noAck: true });
  const numbers = async (count: number) => {
    await waitFor(`${count} messages`, () => read.length >= count);
    return read;
  };
  return { queue, numbers };
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

function body(number: number, bytes = 4): Buffer {
  const content = Buffer.alloc(bytes);
  content.writeUInt32BE(number);
  return content;
}

t.test('directWriter: messages of a turn leave in one call at its end, in order', async (t) => {
  const unmuxed = await start(t);
  const { model, socket, writes } = unmuxed;
  const { queue, numbers } = await reader(unmuxed);
  const channel = await model.createChannel();
  writes.length = 0;
  for (const turn of [0, 1, 2]) {
    for (let n = 0; n < 100; n += 1) channel.sendToQueue(queue, body(turn * 100 + n));
    t.equal(writes.length, turn, 'nothing has left');
    t.ok(socket.writableLength > 0, 'it waits in the socket');
    await nextTurn();
    t.equal(socket.writableLength, 0, 'everything has');
  }

  t.same(await numbers(300), upTo(300));
  t.same(writes, [100, 100, 100]);
});

t.test('directWriter: what several callbacks of a turn say leaves in one call', async (t) => {
  const unmuxed = await start(t);
  const { model, writes } = unmuxed;
  const { queue, numbers } = await reader(unmuxed);
  const [one, two] = [await model.createChannel(), await model.createChannel()];
  writes.length = 0;
  // Between two of these come ticks and microtasks.
  for (const n of upTo(10)) setImmediate(() => (n % 2 ? one : two).sendToQueue(queue, body(n)));

  t.same((await numbers(10)).toSorted(), upTo(10));
  t.same(writes, [10]);
});

t.test('directWriter: at the high-water mark publish says so, and drain follows', async (t) => {
  const unmuxed = await start(t);
  const { model, socket } = unmuxed;
  const { queue, numbers } = await reader(unmuxed);
  const [one, two] = [await model.createChannel(), await model.createChannel()];
  const drains: string[] = [];
  one.on('drain', () => drains.push('one'));
  two.on('drain', () => drains.push('two'));
  const much = socket.writableHighWaterMark;
  t.equal(two.sendToQueue(queue, body(0)), true);
  t.equal(one.sendToQueue(queue, body(1, much)), false);
  await once(one, 'drain');
  t.same(drains, ['one'], 'who was not told to wait hears of no drain');
  t.equal(two.sendToQueue(queue, body(2, much)), false);
  await once(two, 'drain');
  t.same(drains, ['one', 'two'], 'nor who was told before');

  t.same((await numbers(3)).toSorted(), upTo(3));
});

t.test('directWriter: a channel that ends leaves the socket to the others', async (t) => {
  const unmuxed = await start(t);
  const { model, socket } = unmuxed;
  const { queue, numbers } = await reader(unmuxed);
  const first = await model.createChannel();
  first.sendToQueue(queue, body(0, socket.writableHighWaterMark));
  await first.close();
  const second = await model.createChannel();
  second.sendToQueue(queue, body(1));

  t.same((await numbers(2)).toSorted(), [0, 1]);
});

t.test('directWriter: what was published before a close arrives', async (t) => {
  const [here, there] = [await start(t), await start(t)];
  const { queue, numbers } = await reader(there);
  const channel = await here.model.createChannel();
  for (const n of upTo(100)) channel.sendToQueue(queue, body(n));
  await here.model.close();

  t.same(await numbers(100), upTo(100));
});

t.test(
  'directWriter: a proof comes after what it proves, and in doubt a no is known',
  async (t) => {
    const { model } = await start(t);
    const plain = await model.createChannel();
    const confirming = await model.createConfirmChannel();
    const full = { exclusive: true, maxLength: 1, arguments: { 'x-overflow': 'reject-publish' } };
    const { queue } = await plain.assertQueue('', full);
    const proven = new ProvenChannel({ plain, confirming, limits: makeLimits() });
    const said: string[] = [];
    proven.on('return', ({ properties }) => said.push(`return ${properties.messageId}`));
    for (const what of ['ack', 'nack']) {
      proven.on(what, ({ deliveryTag }) => said.push(`${what} ${deliveryTag}`));
    }
    const send = (messageId: string, to: string) =>
      proven.publish('', to, body(0), { messageId, mandatory: true });

    send('a', queue);
    send('b', 'no such queue');
    send('c', queue);
    proven.prove();
    await waitFor('a proof', () => said.includes('ack 3'));
    t.same(said, ['return b', 'ack 3'], 'c was refused, which nobody said');
    proven.doubt();
    send('d', queue);
    await waitFor('an answer', () => said.length === 3);

    t.same(said, ['return b', 'ack 3', 'nack 4']);
  },
);
