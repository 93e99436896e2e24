/** examples/presence.rb: a subscriber under the documented permissions, early and late. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { Backend, forgetTopology } from '../helpers/fakes/backend.ts';
import { Device } from '../helpers/fakes/device.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Command } from '../helpers/processes/command.ts';
import { at, noBunny } from '../helpers/processes/programs.ts';
import { Server } from '../helpers/processes/server.ts';
import { addUsers } from '../helpers/processes/users.ts';

const SCRIPT = at('examples/presence.rb');
const CODE_LINES_MAX = 32;

const broker = await findBroker();
const prefix = `test-${randomUUID()}`;
const users = await addUsers(broker, prefix);
t.teardown(async () => {
  const cleaner = await Backend.connect(broker.url);
  await cleaner.channel.deleteQueue(`backend.presence.${prefix}`);
  await cleaner.close();
  await forgetTopology(broker.url, prefix);
  await users.remove();
  await broker.stop();
});

t.test(
  'presence.rb knows who was connected before it, and hears who comes and goes',
  { skip: noBunny },
  async (t) => {
    const limits = { presencePageMax: 2 };
    const server = await Server.start({ amqp: users.owsla, prefix, limits });
    t.teardown(() => server.stop());
    const devices = await Promise.all(
      ['door-1', 'door-2', 'door-3'].map((name) => Device.open(server.port, name)),
    );
    await server.untilMetric('owsla_presence_changes_total', 'reason="connected"', (n) => n === 3);

    const env = { OWSLA_AMQP: users.backend, OWSLA_PREFIX: prefix };
    const running = new Command(['ruby', SCRIPT], env);
    t.teardown(() => running.end());
    for (const name of ['door-1', 'door-2', 'door-3']) {
      await running.prints(new RegExp(`^${name} online connected$`, 'm'));
    }
    devices[1]?.close();
    await running.prints(/^door-2 offline peer-fin$/m);
    await Device.open(server.port, 'door-1');
    await running.prints(/^door-1 online takeover$/m);
    await Device.open(server.port, 'door-4');
    await running.prints(/^door-4 online connected$/m);
    t.equal(running.output.trim().split('\n').length, 6, 'each once');
  },
);

t.test('presence.rb forgets what only an older store knew', { skip: noBunny }, async (t) => {
  // Without a data folder each start has a store of its own.
  const first = await Server.start({ amqp: users.owsla, prefix });
  await Device.open(first.port, 'old');
  const env = { OWSLA_AMQP: users.backend, OWSLA_PREFIX: prefix };
  const running = new Command(['ruby', SCRIPT], env);
  t.teardown(() => running.end());
  await running.prints(/^old online connected$/m);
  await first.stop();

  const second = await Server.start({ amqp: users.owsla, prefix });
  t.teardown(() => second.stop());
  await Device.open(second.port, 'new');
  await running.prints(/^new online connected$/m);
  await second.untilMetric('owsla_presence_queries_total', 'fate="answered"', (n) => n >= 1);
  t.pass('it asked the new store for everything');
});

t.test(`presence.rb is at most ${CODE_LINES_MAX} lines of code`, async (t) => {
  const [code = ''] = readFileSync(SCRIPT, 'utf8').split('\n\n');

  t.ok(code.split('\n').length <= CODE_LINES_MAX, `${code.split('\n').length}`);
});
