/** The private broker that other tests rely on: its promises, and that nothing of it stays. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'amqplib';
import t from 'tap';
import { findBroker, type shareBroker, startBroker } from '../helpers/processes/broker.ts';
import { waitFor } from '../helpers/waitFor.ts';

const HELPER = join(import.meta.dirname, '../helpers/processes/broker.ts');

/** Starts a broker, tells its pid and folder, and waits. */
const HOLDER = `
  import { shareBroker, startBroker } from ${JSON.stringify(HELPER)};
  const broker = await startBroker();
  console.log(JSON.stringify({ pid: broker.pid, ...shareBroker(broker) }));
  setInterval(() => {}, 1000);
`;

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

t.test('broker: what is durable outlives kill and start, on the same port', async (t) => {
  const broker = await startBroker();
  t.teardown(() => broker.stop());
  const { port } = broker;
  const before = await connect(broker.url);
  before.on('error', () => {});
  const channel = await before.createConfirmChannel();
  channel.on('error', () => {});
  await channel.assertQueue('kept', { durable: true });
  channel.sendToQueue('kept', Buffer.from('still here'), { persistent: true });
  await channel.waitForConfirms();
  // The message is on disk by its confirm; that its queue exists may still be in Mnesia's buffer.
  t.equal((await broker.eval('mnesia:sync_log().')).trim(), 'ok');

  await broker.kill();
  t.equal(broker.pid, 0, 'nothing runs between');
  await broker.start();

  t.equal(broker.port, port);
  const after = await connect(broker.url);
  const message = await (await after.createChannel()).get('kept', { noAck: true });
  t.equal(message === false ? '' : message.content.toString(), 'still here');
  await after.close();
});

t.test('broker: a user that addUser made may do what its permissions say, no more', async (t) => {
  const broker = await findBroker();
  t.teardown(() => broker.stop());
  const name = `helper-${process.pid}`;
  const mine = { configure: `^${name}`, write: '^$', read: '^$' };
  const url = await broker.addUser(name, 'p@ss:w/rd', mine);
  t.teardown(() => broker.ctl('delete_user', name));

  const connection = await connect(url);
  connection.on('error', () => {});
  // Not waited for: amqplib's close never settles when the broker has closed a channel meanwhile.
  t.teardown(() => void connection.close().catch(() => {}));
  const allowed = await connection.createChannel();
  await allowed.assertQueue(`${name}.queue`, { exclusive: true });
  const refused = await connection.createChannel();
  refused.on('error', () => {});

  await t.rejects(refused.assertQueue('other'), /ACCESS_REFUSED/);
});

t.test('broker: of a process that was killed, neither node nor folder stays', async (t) => {
  const holder = spawn(process.execPath, ['--input-type=module', '--eval', HOLDER]);
  t.teardown(() => holder.kill('SIGKILL'));
  const [line] = await once(holder.stdout, 'data');
  const told = JSON.parse(String(line)) as { pid: number } & ReturnType<typeof shareBroker>;
  t.ok(isAlive(told.pid));
  t.ok(existsSync(told.OWSLA_TEST_BROKER));

  holder.kill('SIGKILL');

  await waitFor('the node to end', () => !isAlive(told.pid));
  await waitFor('the folder to go', () => !existsSync(told.OWSLA_TEST_BROKER));
});
