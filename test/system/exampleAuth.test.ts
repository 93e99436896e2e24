/** examples/auth.rb says which devices may connect, by the rights that docs/amqp.md gives it. */
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { names } from '../../src/broker/topology.ts';
import { Backend, forgetTopology } from '../helpers/fakes/backend.ts';
import { Device, event, hello } from '../helpers/fakes/device.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Command } from '../helpers/processes/command.ts';
import { at, noBunny } from '../helpers/processes/programs.ts';
import { Server } from '../helpers/processes/server.ts';
import { addUsers } from '../helpers/processes/users.ts';

const prefix = `test-${randomUUID()}`;
const broker = await findBroker();
const users = await addUsers(broker, prefix);
const flags = ['--auth', 'backend'];
const server = await Server.start({ amqp: users.owsla, prefix, acceptors: 1, flags });
t.teardown(async () => {
  await server.stop();
  const cleaner = await Backend.connect(broker.url);
  await cleaner.channel.deleteQueue(`auth.${prefix}`);
  await cleaner.close();
  await forgetTopology(broker.url, prefix);
  await users.remove();
  await broker.stop();
});

async function comes(id: string, token: string | undefined): Promise<Device> {
  const device = await Device.connect(server.port);
  device.send(hello(id, { token }));
  return device;
}

t.test('who shows its token is let in, for its topics', { skip: noBunny }, async (t) => {
  const env = { OWSLA_PREFIX: prefix, OWSLA_AMQP: users.auth, TOKENS: '{"door-17":"geheim"}' };
  const backend = new Command(['ruby', at('examples/auth.rb')], env);
  t.teardown(() => backend.end());
  await backend.prints(/^ready$/m);

  const device = await comes('door-17', 'geheim');
  await device.expect('welcome');
  device.send(event(1, 'till.open'), event(2, 'door.open'));
  t.match(await device.expect('error'), { code: 'not-allowed', id: 1 });
  t.match(await device.expect('ack'), { id: 2 });
  device.close();

  for (const [id, token] of [
    ['door-17', 'geheim2'],
    ['door-17', undefined],
    ['door-18', 'geheim'],
  ] as const) {
    const other = await comes(id, token);
    t.match(await other.rest(), [{ code: 'auth-failed' }, { type: 'bye' }], `${id} ${token}`);
  }
});

t.test('no other backend may read the questions', async (t) => {
  if (users.backend === broker.url) return;
  const spy = await Backend.connect(users.backend);
  t.teardown(() => spy.close().catch(() => {}));
  await t.rejects(
    spy.on(names(prefix).auth, 'auth', () => {}),
    /ACCESS_REFUSED/,
  );
});
