/** The topology is changed under a serving node: one sentence, exit 78, and every link is told. */
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { EXIT } from '../../src/base/errors.ts';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Backend } from '../helpers/fakes/backend.ts';
import { Device } from '../helpers/fakes/device.ts';
import { startBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';

const LINKS = 40;

const broker = await startBroker();
t.teardown(() => broker.stop());

t.test('an exchange of another type after a reconnect ends the node, by a drain', async (t) => {
  const prefix = `test-${randomUUID()}`;
  const { requests } = names(prefix);
  const server = await Server.start({
    ...{ amqp: broker.url, prefix },
    limits: { reconnectMaxMs: 500 },
  });
  t.teardown(() => server.stop());
  const devices = await Promise.all(
    Array.from({ length: LINKS }, (_, i) => Device.open(server.port, `door-${i}`)),
  );
  const backend = await Backend.connect(broker.url);
  await backend.channel.deleteExchange(requests);
  await backend.channel.assertExchange(requests, 'direct', { durable: true });
  await broker.ctl('close_all_connections', 'maintenance');
  const byes = await Promise.all(devices.map((device) => device.expect(TYPE.BYE)));

  t.same(new Set(byes.map(({ reason }) => reason)), new Set(['draining']));
  t.equal(await server.ended(), EXIT.config);
  t.equal(server.errors.length, 1, 'one sentence');
  t.match(server.errors[0], new RegExp(`exchange '${requests}' already exists .* another 'type'`));
});
