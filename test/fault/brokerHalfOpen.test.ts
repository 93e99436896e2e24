/** A connection is gone for us and not yet for the broker: it costs no reply. */
import t from 'tap';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Backend, echo } from '../helpers/fakes/backend.ts';
import { Device, request } from '../helpers/fakes/device.ts';
import { ToxicProxy } from '../helpers/fakes/toxicProxy.ts';
import { startBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';

const REQUESTS = 40;

const broker = await startBroker();
const proxy = await ToxicProxy.start(broker.port);
const server = await Server.start({
  amqp: proxy.urlFor(broker.url),
  prefix: 'owsla',
  acceptors: 1,
  // The broker is to miss the heartbeats only long after the last deadline.
  limits: { heartbeatMs: 60_000, reconnectMaxMs: 500 },
});
const backend = await Backend.connect(broker.url);
t.teardown(async () => {
  await server.stop();
  await backend.close();
  proxy.stop();
  await broker.stop();
});

t.test('replies go to the new connection, not to the old one that the broker sees', async (t) => {
  await backend.on(names('owsla').requests, '#', echo);
  const device = await Device.open(server.port, 'door-17');
  const queue = names('owsla').acceptor(
    String(server.log.findLast(({ child }) => child === 'acceptor 1')?.incarnation),
  );
  proxy.resetNear();
  await waitFor('a second consumer of the reply queue', async () => {
    return (await backend.channel.checkQueue(queue)).consumerCount === 2;
  });

  const ids = Array.from({ length: REQUESTS }, (_, i) => i + 1);
  device.send(...ids.map((id) => request(id)));
  const replies = [];
  while (replies.length < REQUESTS) replies.push(await device.expect(TYPE.REPLY));
  t.same(new Set(replies.map(({ status }) => status)), new Set([0]));
  device.close();
});
