/**
 * The examples as a newcomer runs them: both devices against both backends, over a real node and
 * broker, under users with no more rights than docs/amqp.md gives them.
 */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConsumeMessage } from 'amqplib';
import t from 'tap';
import { names } from '../../src/broker/topology.ts';
import { Backend, forgetTopology } from '../helpers/fakes/backend.ts';
import { Commander } from '../helpers/fakes/commander.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Command } from '../helpers/processes/command.ts';
import { at, noBunny, noCompiler } from '../helpers/processes/programs.ts';
import { Server } from '../helpers/processes/server.ts';
import { addUsers } from '../helpers/processes/users.ts';
import { waitFor } from '../helpers/waitFor.ts';

const STRICT = ['-std=c99', '-Wall', '-Wextra', '-Werror', '-pedantic', '-g'];
const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
const ROUNDS = 20;

const folder = mkdtempSync(join(tmpdir(), 'owsla-examples-'));
const prefix = `test-${randomUUID()}`;

const broker = await findBroker();
const users = await addUsers(broker, prefix);
const amqpOfBackend = users.backend;
const server = await Server.start({ amqp: users.owsla, prefix });

t.teardown(async () => {
  await server.stop();
  const cleaner = await Backend.connect(broker.url);
  await cleaner.channel.deleteQueue(`backend.${prefix}`);
  await cleaner.close();
  await forgetTopology(broker.url, prefix);
  await users.remove();
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

function compile(source: string): string {
  const program = join(folder, source.replace('.c', ''));
  const sources = [at(`examples/${source}`), '-o', program];
  if (!noCompiler) execFileSync('cc', [...STRICT, ...SANITIZERS, ...sources], { stdio: 'inherit' });
  return program;
}

const devices = [
  { name: 'device.c', skip: noCompiler, command: [compile('device.c')] },
  { name: 'device.ts', skip: false, command: [process.execPath, at('examples/device.ts')] },
] as const;
const backends = [
  { name: 'backend.rb', skip: noBunny, command: ['ruby', at('examples/backend.rb')] },
  { name: 'backend.ts', skip: false, command: [process.execPath, at('examples/backend.ts')] },
] as const;

function runDevice(command: readonly string[], id: string, ...work: string[]): Command {
  return new Command([...command, '127.0.0.1', String(server.port), id, ...work]);
}

t.test(
  'vectors.c: device.c decodes and encodes the test vectors of docs/protocol.md',
  {
    skip: noCompiler,
  },
  async (t) => {
    const vectors = new Command([compile('vectors.c'), at('docs/protocol.md')]);

    t.equal(await vectors.exit, 0, vectors.output);
    t.match(vectors.output, /^[1-9]\d* decoded, 9 built, 0 wrong\n$/);
  },
);

for (const backend of backends) {
  t.test(`${backend.name} answers both devices`, { skip: backend.skip }, async (t) => {
    const env = { OWSLA_AMQP: amqpOfBackend, OWSLA_PREFIX: prefix, DELAY_MS: '5', SHUFFLE: '1' };
    const running = new Command(backend.command, env);
    t.teardown(() => running.end());
    await running.prints(/^ready$/m);

    for (const device of devices) {
      await t.test(
        `${device.name}: every EVENT is ACKed, every REQUEST answered`,
        {
          skip: device.skip,
        },
        async (t) => {
          const work = ['--event', 'hvac.temp', '21.5', '--request', 'door.open', 'please'];
          const run = runDevice(device.command, 'door-17', ...work, '--count', String(ROUNDS));

          t.equal(await run.exit, 0, run.output);
          const expected = Array.from({ length: ROUNDS }, (_, round) => [
            `ack ${round * 2 + 1}`,
            `reply ${round * 2 + 2} status 0: please`,
          ]);
          t.strictSame(run.output.split('\n'), ['welcome, keepalive 60 s', ...expected.flat(), '']);
        },
      );
    }
  });
}

for (const device of devices) {
  t.test(
    `${device.name} gives up on a message that Owsla refuses, and says why`,
    {
      skip: device.skip,
    },
    async (t) => {
      const run = runDevice(device.command, 'door-18', '--event', 'not..a.topic', 'x');

      t.equal(await run.exit, 1);
      t.match(run.output, /^error bad-topic: .+\nbye bad-topic\n/m);
    },
  );

  t.test(
    `${device.name}: of six events one is bad, and the five others are safe`,
    {
      skip: device.skip,
    },
    async (t) => {
      const id = `door-${device.name.replace('.', '-')}`;
      const topics = ['a.one', 'a.two', 'not..a.topic', 'a.four', 'a.five', 'a.six'];
      const events = topics.flatMap((topic) => ['--event', topic, 'x']);
      const run = runDevice(device.command, id, ...events, '--window', '6');

      t.equal(await run.exit, 1);
      const [, , after = ''] = run.output.split('welcome, keepalive 60 s\n');
      t.match(run.output, /^error bad-topic: .+\nbye bad-topic\nlink lost/m);
      t.equal(run.output.match(/^error/gm)?.length, 1);
      // What was ACKed before the link ended is not sent again.
      const acks = run.output.match(/^ack \d+$/gm) ?? [];
      t.equal(acks.length, 5, run.output);
      t.match(after, /^ack \d+\n/);
    },
  );

  t.test(
    `${device.name}: its will is published when it is gone`,
    { skip: device.skip },
    async (t) => {
      const id = `will-${device.name.replace('.', '-')}`;
      const backend = await Backend.connect(broker.url);
      const commander = await Commander.connect(broker.url, prefix);
      t.teardown(() => Promise.all([backend.close(), commander.close()]));
      const got = Promise.withResolvers<ConsumeMessage>();
      await backend.on(names(prefix).events, `${id}.#`, got.resolve);
      const run = runDevice(device.command, id, '--will', 'door.gone', 'lost');
      await run.prints(/^welcome/m);
      await waitFor('its link on record', async () => {
        return (await commander.command(id, { topic: 'door.open' })).type === 'result';
      });
      await run.end('SIGKILL');

      const { properties, content } = await got.promise;
      t.equal(content.toString(), 'lost');
      t.match(properties.headers, { topic: 'door.gone', will: /^peer-/ });
    },
  );
}
