/** The node that other tests start: it is theirs alone, and nothing of it stays. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { Device } from '../helpers/fakes/device.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { isThere } from '../helpers/processes/cli.ts';
import { Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';

const LEASH = join(import.meta.dirname, '../helpers/processes/leash.ts');

/** Starts a group of two, tells the pids, and waits. */
const HOLDER = `
  import { spawn } from 'node:child_process';
  import { once } from 'node:events';
  import { leash } from ${JSON.stringify(LEASH)};
  const stdio = ['ignore', 'pipe', 'inherit'];
  const script = 'sleep 600 & echo $$ $!; wait';
  const child = spawn('/bin/sh', ['-c', script], { stdio, detached: true });
  leash(child, process.argv[1]);
  const [line] = await once(child.stdout, 'data');
  console.log(String(line).trim());
`;

const prefix = `test-${randomUUID()}`;
const broker = await findBroker();
t.teardown(async () => {
  await forgetTopology(broker.url, prefix);
  await broker.stop();
});

t.test('a test’s node has none of our OWSLA_ variables, and its folder goes with it', async (t) => {
  process.env.OWSLA_KEEPALIVE = 'no duration';
  t.teardown(() => {
    delete process.env.OWSLA_KEEPALIVE;
  });
  const server = await Server.start({ amqp: broker.url, prefix });
  t.teardown(() => server.stop());
  t.equal(readdirSync(server.folder).length, 2, 'the folder of its sockets, and its store');

  await server.stop();

  t.notOk(existsSync(server.folder));
});

t.test('the folder of a node that drained by itself goes too', async (t) => {
  const server = await Server.start({ amqp: broker.url, prefix });
  t.teardown(() => server.stop());

  server.signal('SIGTERM');

  t.equal(await server.ended(), 0);
  await waitFor('the folder to go', () => !existsSync(server.folder));
});

t.test('a leash: when its holder is killed, the group and the folder go', async (t) => {
  const folder = t.testdir({ socket: '' });
  const args = ['--input-type=module', '--eval', HOLDER, folder];
  const holder = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(holder.stdout, 'data');
  const pids = String(line).trim().split(' ').map(Number);
  t.ok(pids.length === 2 && pids.every(isThere));

  holder.kill('SIGKILL');

  await waitFor('the end of the group', () => !pids.some(isThere));
  await waitFor('the folder to go', () => !existsSync(folder));
});

t.test('what a node said last is read when it has ended, and its figures are of now', async (t) => {
  const server = await Server.start({ amqp: broker.url, prefix, acceptors: 1 });
  t.teardown(() => server.stop());
  const device = await Device.open(server.port, 'door-17');

  t.equal(await server.metricNow('owsla_links'), 1, 'not those of before the device came');
  device.close();
  server.signal('SIGTERM');

  t.equal(await server.ended(), 0);
  t.match(server.log.at(-1), { role: 'supervisor', msg: 'stopped' });
});
