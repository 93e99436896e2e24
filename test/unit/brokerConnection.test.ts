/** Connection: what an AMQP URL comes to when amqplib gets it, and the order of several. */
import t from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import { connectOptions, tryOrder } from '../../src/broker/connection.ts';

const limits = makeLimits({ heartbeatMs: 10_000 });

t.test('every part is decoded; what is not given is the default of AMQP', async (t) => {
  t.same(connectOptions('amqp://do%40or:p%3Aw@h:99/a%2Fb?heartbeat=3', limits), {
    protocol: 'amqp',
    hostname: 'h',
    port: 99,
    username: 'do@or',
    password: 'p:w',
    vhost: 'a/b',
    heartbeat: 3,
  });
  t.same(connectOptions('amqps://h', limits), {
    protocol: 'amqps',
    hostname: 'h',
    port: 5671,
    username: 'guest',
    password: 'guest',
    vhost: '/',
    heartbeat: 10,
  });
});

t.test(
  'an IPv6 address is without its brackets: with them it is looked up as a name',
  async (t) => {
    t.match(connectOptions('amqp://u:p@[::1]:99', limits), { hostname: '::1', port: 99 });
  },
);

t.test('heartbeat=0 in the URL means none', async (t) => {
  t.equal(connectOptions('amqp://h?heartbeat=0', limits).heartbeat, 0);
});

t.test('acceptors begin with one URL each, round and round', async (t) => {
  const urls = ['a', 'b', 'c'];
  const first = Array.from({ length: 6 }, (_, index) => tryOrder(urls, index)[0]);

  t.same(first, ['a', 'b', 'c', 'a', 'b', 'c']);
});

t.test(
  'the other URLs follow by chance: a lost node’s acceptors do not all go to one',
  async (t) => {
    const lots = [0.9, 0.1, 0.5];
    const order = tryOrder(['a', 'b', 'c', 'd'], 1, () => lots.shift() ?? 0);

    t.same(order, ['b', 'c', 'd', 'a']);
    t.same(tryOrder(['a'], 7), ['a']);
  },
);
