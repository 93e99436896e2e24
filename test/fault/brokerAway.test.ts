/** The broker stays away: with `refuse` links are told to come back later; a drain ends soon. */
import { randomUUID } from 'node:crypto';
import t, { type Test } from 'tap';
import { TYPE } from '../../src/wire/message.ts';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { Device, event, hello, request } from '../helpers/fakes/device.ts';
import { ToxicProxy } from '../helpers/fakes/toxicProxy.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Server, type ServerOptions } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';

const LINKS = 60;
const RETRY_MS = 8_000;

const broker = await findBroker();
t.teardown(() => broker.stop());

/** A node, and the way to its broker. */
async function serve(t: Test, options: Partial<ServerOptions>) {
  const proxy = await ToxicProxy.start(broker.port);
  const prefix = `test-${randomUUID()}`;
  const limits = { reconnectMaxMs: 500, ...options.limits };
  const amqp = proxy.urlFor(broker.url);
  const server = await Server.start({ ...options, amqp, prefix, limits });
  t.teardown(async () => {
    await server.stop();
    proxy.stop();
    await forgetTopology(broker.url, prefix);
  });
  const loseBroker = async () => {
    proxy.cut();
    proxy.reset();
    await server.untilMetric('owsla_broker_up', 'link="publish"', (value) => value === 0);
  };
  return { server, proxy, loseBroker };
}

const isLive = async ({ adminPort }: Server) =>
  (await fetch(`http://127.0.0.1:${adminPort}/health/live`)).ok;

t.test('refuse: every link gets BYE broker-lost, new ones too, until it is back', async (t) => {
  const limits = { brokerLossMs: 500, brokerLossPaceMs: 1_000, brokerLossRetryMs: RETRY_MS };
  const flags = ['--on-broker-loss', 'refuse'];
  const { server, proxy, loseBroker } = await serve(t, { limits, flags });
  const devices = await Promise.all(
    Array.from({ length: LINKS }, (_, i) => Device.open(server.port, `door-${i}`)),
  );
  const began = performance.now();
  const told = Promise.all(
    devices.map(async (device) => {
      const bye = await device.expect(TYPE.BYE);
      return { ...bye, afterMs: performance.now() - began };
    }),
  );
  await loseBroker();
  const byes = await told;

  t.same(new Set(byes.map(({ reason }) => reason)), new Set(['broker-lost']));
  t.ok(
    byes.every(({ afterMs }) => afterMs > limits.brokerLossMs / 2),
    'not at once',
  );
  const times = byes.map(({ afterMs }) => afterMs);
  t.ok(Math.max(...times) - Math.min(...times) > limits.brokerLossPaceMs / 3, 'paced');
  const waits = byes.map(({ retryAfter = -1 }) => retryAfter);
  t.ok(
    waits.every((wait) => wait >= 0 && wait <= RETRY_MS),
    'retryAfter is given',
  );
  t.ok(Math.max(...waits) - Math.min(...waits) > RETRY_MS / 3, 'and spread');
  t.equal(await server.isReady(), false, 'ready is red');
  t.equal(await isLive(server), true, 'live is green');
  const late = await Device.connect(server.port);
  late.send(hello('late'));
  t.match(await late.expect(TYPE.BYE), { reason: 'broker-lost' }, 'new links hear the same');
  await server.untilMetric('owsla_closes_total', 'reason="broker-lost"', (n) => n === LINKS + 1);

  proxy.heal();
  await waitFor('ready health', () => server.isReady());
  const back = await Device.open(server.port, 'door-1');
  back.send(event(1));

  t.match(await back.expect(TYPE.ACK), { id: 1 }, 'links are taken again');
  for (const device of [...devices, late, back]) device.close();
});

t.test('refuse: who is told that a node is ready is not refused', async (t) => {
  // The policy looks once in a tick: as seldom as it can.
  const limits = { brokerLossMs: 0, brokerLossPaceMs: 1, sweepTickMs: 1_000 };
  const flags = ['--on-broker-loss', 'refuse'];
  const { server, proxy, loseBroker } = await serve(t, { acceptors: 1, limits, flags });
  await loseBroker();
  await server.untilSaid(/^broker is still unavailable/);
  proxy.heal();
  await waitFor('ready health', () => server.isReady());

  (await Device.open(server.port, 'door-1')).close();
});

t.test(
  'hold: a full window of REQUESTs empties at their deadlines, and reading goes on',
  async (t) => {
    const limits = { requestMs: 1_000, publishWindowMax: 10 };
    const { server, proxy, loseBroker } = await serve(t, { acceptors: 1, limits });
    const device = await Device.open(server.port, 'door-17');
    await loseBroker();
    const ids = Array.from({ length: 25 }, (_, i) => i + 1);
    device.send(...ids.map((id) => request(id, 'door.open')));
    await server.untilMetric('owsla_paused_links', '', (value) => value === 1);
    const waiting = await server.metric('owsla_confirms_waiting');
    const replies = await Promise.all(ids.map(() => device.expect(TYPE.REPLY)));

    t.ok(waiting <= limits.publishWindowMax, `the window is bounded: ${waiting}`);
    t.same(
      replies.map(({ id, status }) => [id, status]),
      ids.map((id) => [id, 1]),
      'each got its one answer, with the broker away all the time',
    );
    t.equal(await server.metric('owsla_links'), 1, 'the link stays');
    t.equal(await isLive(server), true);
    proxy.heal();
    await waitFor('ready health', () => server.isReady());
    t.equal(await server.metricNow('owsla_publishes_total', 'kind="request"'), 0, 'none came late');
    device.close();
  },
);

t.test('a drain with the broker away does not wait for confirms', async (t) => {
  const limits = { drainMs: 60_000, drainPaceMs: 0 };
  const { server, loseBroker } = await serve(t, { acceptors: 1, limits });
  const device = await Device.open(server.port, 'door-17');
  await loseBroker();
  device.send(event(1));
  await server.untilMetric('owsla_confirms_waiting', '', (value) => value === 1);
  server.signal('SIGTERM');

  t.match(await device.expect(TYPE.BYE), { reason: 'draining' }, 'and the EVENT got no ACK');
  t.equal(await server.ended(), 0);
  device.close();
});
