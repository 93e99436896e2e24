/** Link: what an AMQP URL comes to when amqplib gets it. */
import t from 'tap';
import { connectOptions } from '../../src/broker/link.ts';
import { makeLimits } from '../../src/limits.ts';

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
