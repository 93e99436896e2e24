/**
 * Commands as a newcomer tries them: a real node, both example devices, `unlock.rb` and
 * `owsla command`, under users with no more rights than docs/amqp.md gives them.
 */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Command } from '../helpers/processes/command.ts';
import { at, noBunny, noCompiler } from '../helpers/processes/programs.ts';
import { Server } from '../helpers/processes/server.ts';
import { addUsers } from '../helpers/processes/users.ts';

const folder = mkdtempSync(join(tmpdir(), 'owsla-commands-'));
const prefix = `test-${randomUUID()}`;

const broker = await findBroker();
const users = await addUsers(broker, prefix);
const server = await Server.start({ amqp: users.owsla, prefix });
const env = { OWSLA_AMQP: users.backend, OWSLA_PREFIX: prefix };

t.teardown(async () => {
  await server.stop();
  await forgetTopology(broker.url, prefix);
  await users.remove();
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

const program = join(folder, 'device');
if (!noCompiler) execFileSync('cc', ['-std=c99', '-o', program, at('examples/device.c')]);

const devices = [
  { name: 'device.c', skip: noCompiler, command: [program] },
  { name: 'device.ts', skip: false, command: [process.execPath, at('examples/device.ts')] },
] as const;

/** A device that stays connected until the test is over. */
async function connect(t: Test, command: readonly string[], id: string): Promise<Command> {
  const device = new Command([...command, '127.0.0.1', String(server.port), id]);
  t.teardown(() => device.end('SIGKILL'));
  await device.prints(/^welcome/);
  return device;
}

function owsla(...args: string[]): Command {
  return new Command([process.execPath, at('src/cli/cli.ts'), ...args], env);
}

for (const { name, skip, command } of devices) {
  t.test(`${name} opens its door for unlock.rb`, { skip: skip || noBunny }, async (t) => {
    const device = await connect(t, command, 'door-17');
    const unlock = new Command(['ruby', at('examples/unlock.rb'), 'door-17'], env);

    t.equal(await unlock.exit, 0, unlock.output);
    t.equal(unlock.output, 'delivered\nresult 0 opened\n');
    await device.prints(/^command door\.open: please$/m);
  });

  t.test(`${name} opens its door for owsla command, and knows no other`, { skip }, async (t) => {
    const device = await connect(t, command, 'door-18');
    const open = owsla('command', 'door-18', 'door.open', 'now');
    const shut = owsla('command', 'door-18', 'door.shut');

    t.equal(await open.exit, 0, open.output);
    t.match(open.output, /^result 0 opened \(\d+ ms\)$/m);
    t.equal(await shut.exit, 2, shut.output);
    t.match(shut.output, /^result 3 \(\d+ ms\)$/m);
    await device.prints(/^command door\.open: now$/m);
  });
}

t.test('a kept command waits for a device that comes back', { timeout: 30_000 }, async (t) => {
  const [, { command }] = devices;
  const first = await connect(t, command, 'door-19');
  await first.end('SIGKILL');
  await server.untilMetric('owsla_links', '', (links) => links === 0);
  const never = owsla('command', 'door-19', 'door.open', 'never');
  const kept = owsla('command', 'door-19', 'door.open', 'later', '--keep', '--wait', '20s');
  await server.untilMetric('owsla_command_kept', '', (count) => count === 1);
  const asked = owsla('devices', 'door-19');
  t.equal(await never.exit, 3, never.output);
  t.equal(await asked.exit, 3);
  t.match(asked.output, /^door-19 +offline .* commands=1$/m);
  const second = await connect(t, command, 'door-19');

  t.equal(await kept.exit, 0, kept.output);
  await second.prints(/^command door\.open: later$/m);
  t.notMatch(second.output, /never/);
});
