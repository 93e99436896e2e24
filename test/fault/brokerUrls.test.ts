/** A cluster loses a node: its acceptors go on at another one, and no ACKed EVENT is lost. */
import t from 'tap';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Backend, echo } from '../helpers/fakes/backend.ts';
import { Device, event, request } from '../helpers/fakes/device.ts';
import { startCluster } from '../helpers/processes/cluster.ts';
import { Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';

const DEVICES = 40;
const SINK = 'all-events';

const cluster = await startCluster(2);
t.teardown(() => cluster.stop());
const [first, second] = cluster.nodes as [(typeof cluster.nodes)[0], (typeof cluster.nodes)[0]];
const at = names('owsla');

/** A classic queue on the second node: it is there as long as the node is. */
async function bindAtSecond(queue: string, exchange: string, pattern: string): Promise<void> {
  const backend = await Backend.connect(second.url);
  await backend.channel.assertQueue(queue, { durable: true });
  await backend.channel.bindQueue(queue, exchange, pattern);
  await backend.close();
}

t.test('a node dies: links stay, EVENTs and REQUESTs go on through the other', async (t) => {
  const server = await Server.start({
    amqp: cluster.urls.join(),
    prefix: 'owsla',
    acceptors: 2,
    limits: { reconnectMaxMs: 500, requestMs: 2_000 },
  });
  t.teardown(() => server.stop());
  const backend = await Backend.connect(first.url);
  await backend.channel.assertQueue(SINK, { durable: true });
  await backend.channel.bindQueue(SINK, at.events, '#');
  await backend.on(at.requests, '*.badge', echo);
  const up = server.log.filter(({ role, msg }) => role === 'acceptor' && msg === 'broker link up');
  t.same(
    up.map(({ broker }) => broker).toSorted(),
    [first, first, second, second].map(({ port }) => `127.0.0.1:${port}`).toSorted(),
    'each acceptor began with a node of its own',
  );
  const devices = await Promise.all(
    Array.from({ length: DEVICES }, (_, i) => Device.open(server.port, `door-${i}`)),
  );
  for (const device of devices) device.send(event(1), request(2, 'badge'));
  for (const device of devices) {
    const answers = [await device.next(), await device.next()];
    t.ok(answers.some((item) => item !== 'end' && item.type === TYPE.REPLY && item.status === 0));
  }

  await bindAtSecond('lost', at.requests, '*.lost');
  await second.kill();
  for (const device of devices) device.send(event(3));
  for (const device of devices) t.match(await device.expect(TYPE.ACK), { id: 3 });
  await waitFor('ready health', () => server.isReady());
  for (const device of devices) device.send(request(4, 'badge'));
  for (const device of devices) {
    t.match(
      await device.expect(TYPE.REPLY),
      { id: 4, status: 0 },
      'to a reply queue that is there',
    );
  }

  devices[0]?.send(request(5, 'lost'));
  // RabbitMQ 3 returns it, RabbitMQ 4 refuses it.
  const status = (await first.ctl('version')).startsWith('3.') ? 2 : 4;
  t.match(await devices[0]?.expect(TYPE.REPLY), { status }, 'a queue that was lost is nobody');
  t.equal(await server.metric('owsla_links'), DEVICES, 'every link stayed');
  const { messageCount } = await backend.channel.checkQueue(SINK);
  t.ok(messageCount >= 2 * DEVICES, `every ACKed EVENT is in the queue: ${messageCount}`);
  for (const device of devices) device.close();
  await backend.close();
});

t.test('a node that is down does not keep Owsla from starting', async (t) => {
  const server = await Server.start({ amqp: cluster.urls.join(), prefix: 'second', acceptors: 2 });
  t.teardown(() => server.stop());
  const warning = server.log.find(({ msg }) => msg === 'broker not reached');

  t.match(warning, { broker: `127.0.0.1:${second.port}` }, 'it is told');
  const device = await Device.open(server.port, 'door-17');
  device.send(event(1));
  t.match(await device.expect(TYPE.ACK), { id: 1 });
  device.close();
});
