/** One AMQP connection and its URLs: which is tried next, and that no silence is waited out. */
import t, { type Test } from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import type { AmqpModel } from '../../src/broker/amqp.ts';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { ToxicProxy } from '../helpers/fakes/toxicProxy.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { waitFor } from '../helpers/waitFor.ts';

const broker = await findBroker();
t.teardown(() => broker.stop());

interface Part {
  readonly connection: BrokerConnection;
  /** Two ways to the broker; the connection's URLs, in this order. */
  readonly ways: readonly [ToxicProxy, ToxicProxy];
  /** The way of each connection so far, as an index. */
  readonly ups: readonly number[];
  readonly downs: readonly number[];
}

async function start(
  t: Test,
  declare: (model: AmqpModel, ways: Part['ways']) => Promise<void> = async () => {},
): Promise<Part> {
  const ways = [await ToxicProxy.start(broker.port), await ToxicProxy.start(broker.port)] as const;
  const ups: number[] = [];
  const downs: number[] = [];
  const note = (line: { broker?: string } | string, message?: string) => {
    if (typeof line === 'string') return;
    const at = ways.findIndex(({ port }) => line.broker === `127.0.0.1:${port}`);
    if (message === 'broker link up') ups.push(at);
    if (message === 'broker link lost') downs.push(at);
  };
  const connection = new BrokerConnection({
    name: 'test',
    urls: ways.map((way) => way.urlFor(broker.url)),
    limits: makeLimits({ brokerConnectMs: 500, reconnectMinMs: 10, reconnectMaxMs: 50 }),
    log: { info: note, warn: note, error: note },
    declare: (model) => declare(model, ways),
    open: async () => {},
    onUp: () => {},
    onDown: () => {},
    onBlocked: () => {},
    onFatal: () => {},
  });
  connection.start();
  t.teardown(async () => {
    await connection.close();
    for (const way of ways) way.stop();
  });
  return { connection, ways, ups, downs };
}

t.test('a connection that is lost goes to the next URL, and round again', async (t) => {
  const { ways, ups, downs } = await start(t);

  for (let connects = 1; connects <= 4; connects += 1) {
    await waitFor(`connect ${connects}`, () => ups.length === connects);
    ways[(connects - 1) % 2]?.reset();
    await waitFor(`loss ${connects}`, () => downs.length === connects);
  }
  await waitFor('connect 5', () => ups.length === 5);

  t.same(ups, [0, 1, 0, 1, 0]);
});

t.test('one that is given up for a failed channel goes to the same URL', async (t) => {
  const { connection, ups } = await start(t);

  for (let connects = 1; connects <= 3; connects += 1) {
    await waitFor(`connect ${connects}`, () => ups.length === connects);
    connection.reset();
  }
  await waitFor('connect 4', () => ups.length === 4);

  t.same(ups, [0, 0, 0, 0]);
});

t.test('a broker that falls silent while it is set up: the next URL is tried', async (t) => {
  let tries = 0;
  const { ups } = await start(t, async (model, ways) => {
    tries += 1;
    if (tries === 1) ways[0].cut();
    await model.createChannel();
  });

  await waitFor('a connect', () => ups.length === 1);

  t.same(ups, [1]);
});

t.test('a failed set-up whose close is never answered: the next URL is tried', async (t) => {
  let tries = 0;
  const { ups } = await start(t, async (_, ways) => {
    tries += 1;
    if (tries > 1) return;
    ways[0].cut();
    throw new Error('no');
  });

  await waitFor('a connect', () => ups.length === 1);

  t.same(ups, [1]);
});

t.test('a broker that is silent from the first byte: the next URL is tried', async (t) => {
  const { ways, ups, downs } = await start(t);
  await waitFor('a connect', () => ups.length === 1);
  ways[1].cut();
  ways[0].reset();
  await waitFor('its loss', () => downs.length === 1);

  await waitFor('the next', () => ups.length === 2);

  t.same(ups, [0, 0], 'past the one that did not answer');
});

t.test('closed while the broker is silent, it is over after a second all the same', async (t) => {
  const { connection, ways, ups, downs } = await start(t);
  await waitFor('a connect', () => ups.length === 1);
  ways[0].cut();

  await connection.close();

  t.same(ups, [0], 'no other is made');
  t.same(downs, [], 'and it is no loss');
});
