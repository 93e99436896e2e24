/**
 * Programs that stand in docs/, as written but for the prefix: under users with no more rights than
 * docs/amqp.md gives them.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Backend, forgetTopology } from '../helpers/backend.ts';
import { findBroker } from '../helpers/broker.ts';
import { Command } from '../helpers/command.ts';
import { at, noBunny } from '../helpers/programs.ts';
import { Server } from '../helpers/server.ts';
import { addUsers } from '../helpers/users.ts';

const folder = mkdtempSync(join(tmpdir(), 'owsla-docs-'));
const prefix = `test-${randomUUID()}`;
const queue = `backend.doors-${prefix}`;

const broker = await findBroker();
const users = await addUsers(broker, prefix);
const server = await Server.start({ amqp: users.owsla, prefix });

t.teardown(async () => {
  await server.stop();
  await forgetTopology(broker.url, prefix);
  await users.remove();
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The block of `page` whose first line names it `name`; it runs as a backend. */
function run(page: string, name: string): Command {
  const text = readFileSync(at(page), 'utf8');
  const [, block] = new RegExp(`^\`\`\`ruby\\n(# ${name}:[\\s\\S]*?)^\`\`\``, 'm').exec(text) ?? [];
  if (block === undefined) throw new Error(`${page} has no ${name}`);
  const program = block
    .replaceAll("'owsla.", `'${prefix}.`)
    .replaceAll("'backend.doors'", `'${queue}'`);
  const file = join(folder, name);
  writeFileSync(file, program);
  return new Command(['ruby', file], { OWSLA_AMQP: users.backend });
}

function device(id: string, ...work: string[]): Command {
  const words = ['127.0.0.1', String(server.port), id, ...work];
  return new Command([process.execPath, at('examples/device.ts'), ...words]);
}

t.test('commands.md: the first example opens a door', { skip: noBunny }, async (t) => {
  const door = device('door-17');
  t.teardown(() => door.end('SIGKILL'));
  await door.prints(/^welcome/);

  const command = run('docs/commands.md', 'command.rb');

  t.equal(await command.exit, 0, command.output);
  t.match(command.output, /^result \{.*"device"=>"door-17".*"status"=>0.*\} /m);
});

t.test('amqp.md: what was unrouted is rescued, headers and all', { skip: noBunny }, async (t) => {
  const sent = device('door-18', '--event', 'door.opened', 'one', '--event', 'door.shut', 'two');
  t.equal(await sent.exit, 0, sent.output);
  const backend = await Backend.connect(users.backend);
  t.teardown(() => backend.close());
  const { channel } = backend;
  await channel.assertQueue(queue);
  await channel.bindQueue(queue, `${prefix}.events`, '*.door.#');

  const rescue = run('docs/amqp.md', 'rescue.rb');

  t.equal(await rescue.exit, 0, rescue.output);
  for (const [topic, body] of [
    ['door.opened', 'one'],
    ['door.shut', 'two'],
  ]) {
    const message = await channel.get(queue, { noAck: true });
    if (!message) throw new Error(`${topic} is gone`);
    t.equal(message.content.toString(), body);
    t.match(message.properties.headers, { device: 'door-18', topic });
    t.match(message.properties, { type: 'event', deliveryMode: 2 });
  }
  t.equal(await channel.get(`${prefix}.unrouted`, { noAck: true }), false);
  await channel.deleteQueue(queue);
});
