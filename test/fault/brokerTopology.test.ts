/** The topology is deleted under a serving node: each part comes back by itself. */
import t, { type Test } from 'tap';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Backend, echo } from '../helpers/fakes/backend.ts';
import { Device, event, request } from '../helpers/fakes/device.ts';
import { startNode } from '../helpers/processes/node.ts';
import { waitFor } from '../helpers/waitFor.ts';

const EXPIRES_MS = 1_000;

const {
  broker,
  prefix,
  server,
  backend: operator,
} = await startNode(t, {
  acceptors: 1,
  limits: {
    topologyMs: 1_000,
    replyQueueExpiresMs: EXPIRES_MS,
    requestMs: 2_000,
    heartbeatMs: 1_000,
    reconnectMaxMs: 500,
    childSilenceMs: 60_000,
  },
});
const at = names(prefix);

async function open(t: Test, deviceId: string): Promise<Device> {
  const device = await Device.open(server.port, deviceId);
  t.teardown(() => device.close());
  return device;
}

const replyQueue = () =>
  at.acceptor(String(server.log.find(({ role }) => role === 'acceptor')?.incarnation));

/** Asked on a channel of its own: where there is no queue, the broker closes it. */
async function found(queue: string) {
  const probe = await Backend.connect(broker.url);
  const reply = await probe.channel.checkQueue(queue).catch(() => undefined);
  await probe.close();
  return reply;
}

const upAgain = () => waitFor('ready health', () => server.isReady());

t.test('the events exchange: a publish gets 404, and the EVENT is published again', async (t) => {
  const device = await open(t, 'door-1');
  await operator.channel.deleteExchange(at.events);

  device.send(event(1));

  t.match(await device.expect(TYPE.ACK), { id: 1 });
  await operator.channel.checkExchange(at.events);
});

t.test('the requests exchange: it is there again, and takes bindings', async (t) => {
  const device = await open(t, 'door-2');
  await operator.channel.deleteExchange(at.requests);

  device.send(request(1));
  t.match(await device.expect(TYPE.REPLY), { id: 1, status: 2 }, 'its bindings went with it');
  await upAgain();
  await operator.on(at.requests, '#', echo);
  device.send(request(2));

  t.match(await device.expect(TYPE.REPLY), { id: 2, status: 0 });
});

t.test('what no publish would notice is there again after topologyMs', async (t) => {
  const device = await open(t, 'door-3');
  await operator.channel.deleteExchange(at.unrouted);
  await operator.channel.deleteQueue(at.unrouted);

  const count = async () => (await found(at.unrouted))?.messageCount;
  await waitFor('the queue of the unrouted', async () => (await count()) === 0);
  device.send(event(1));
  t.match(await device.expect(TYPE.ACK), { id: 1 });

  await waitFor('its first message', async () => (await count()) === 1);
});

t.test('the reply queue: consumed again, and the next REQUEST is answered', async (t) => {
  const device = await open(t, 'door-4');
  // What was deleted before may have cost the connection: without its consumer nobody would notice.
  const isConsumed = async () => (await found(replyQueue()))?.consumerCount === 1;
  await waitFor('its consumer', isConsumed);
  const losses = await server.metricNow('owsla_broker_losses_total');
  await operator.channel.deleteQueue(replyQueue());
  await server.untilMetric('owsla_broker_losses_total', '', (value) => value > losses);
  await upAgain();

  device.send(request(1));

  t.match(await device.expect(TYPE.REPLY), { id: 1, status: 0 });
});

t.test('the reply queue expires while the node sleeps: answered after it wakes', async (t) => {
  const device = await open(t, 'door-5');
  const acceptor = server.childPid('acceptor 1');
  const losses = await server.metricNow('owsla_broker_losses_total');
  process.kill(acceptor, 'SIGSTOP');
  // The broker misses its heartbeats and closes; nobody consumes; the queue goes. To declare it,
  // even passively, would count as use, so it is asked by what nobody can be given.
  let isGone = false;
  operator.channel.once('return', () => {
    isGone = true;
  });
  const queue = replyQueue();
  await waitFor('the queue to expire', () => {
    operator.channel.publish('', queue, Buffer.alloc(0), { mandatory: true });
    return isGone;
  });
  process.kill(acceptor, 'SIGCONT');
  await server.untilMetric('owsla_broker_losses_total', '', (value) => value > losses);
  await upAgain();

  device.send(request(1));

  t.match(await device.expect(TYPE.REPLY), { id: 1, status: 0 });
});
