/** A real node on a dual-stack address: its log names the devices that err, and only so many. */
import type { ConsumeMessage } from 'amqplib';
import t from 'tap';
import { names } from '../../src/broker/topology.ts';
import { CODE } from '../../src/wire/v1Types.ts';
import { Device, event, hello } from '../helpers/fakes/device.ts';
import { startNode } from '../helpers/processes/node.ts';
import { waitFor } from '../helpers/waitFor.ts';

const LOOPBACK = /^127\.0\.0\.1:\d+$/;
const { prefix, server, backend } = await startNode(t, {
  acceptors: 1,
  limits: { refusalLinesMax: 2, refusalLinesMs: 3_600_000 },
  flags: ['--host', '::', '--auth', 'none'],
});

const leftOut = () => server.log.filter(({ msg }) => msg === 'more devices refused');
const refused = () => server.log.filter(({ msg }) => msg === 'device refused');

t.test('the address of an IPv4 device is one, for backends and in the log', async (t) => {
  const got = Promise.withResolvers<ConsumeMessage>();
  await backend.on(names(prefix).events, '#', got.resolve);
  const device = await Device.connect(server.port);
  device.send(hello('door-17', { token: 's3cret' }), event(1), event(2, 'a..b', 's3cret'));
  const { properties } = await got.promise;
  await device.rest();
  await waitFor('the line', () => refused().length === 1);

  t.match(properties.headers?.peer, LOOPBACK);
  t.match(refused()[0], {
    level: 'warn',
    role: 'acceptor',
    reason: 'bad-topic',
    device: 'door-17',
    peer: properties.headers?.peer,
    type: CODE.event,
    id: 2,
  });
});

t.test('more of them are counted, and the count is told when the node stops', async (t) => {
  for (let more = 0; more < 4; more += 1) {
    const device = await Device.connect(server.port);
    device.send(hello(`door-${more}`), event(1, 'a..b'));
    await device.rest();
    device.close();
  }
  server.signal('SIGTERM');
  await waitFor('the count', () => leftOut().length === 1);

  t.same(
    refused().map(({ device }) => device),
    ['door-17', 'door-0'],
  );
  t.match(leftOut(), [{ reason: 'bad-topic', leftOut: 3 }]);
  t.notMatch(JSON.stringify(server.log), /s3cret/);
});
