/** README.md and examples/README.md as a newcomer follows them, terminal by terminal. */
import { connect } from 'amqplib';
import t from 'tap';
import { everyBlockOf } from '../../helpers/docs.ts';
import type { Command } from '../../helpers/processes/command.ts';
import { noBunny, noCompiler } from '../../helpers/processes/programs.ts';
import { DocsWorld } from '../../helpers/worlds/docsWorld.ts';

const world = await DocsWorld.make(t);

/** README.md's device: what it printed once it had its answer; it would stay for 90 s. */
async function answerOf(device: Command): Promise<string> {
  await device.prints(/\[\s*8,/);
  await device.end('SIGKILL');
  return device.output;
}

await everyBlockOf('README.md', async (page, t) => {
  const twoCommands = page.take('sh', 'make run');
  const broker = page.take('sh', 'npm run --silent broker');
  const serve = page.take('sh', 'serve');
  const ruby = page.take('ruby', 'backend.first');
  const js = page.take('js', 'HELLO');
  const device = page.take('sh', 'examples/device.c');
  // test/system/package.test.ts runs it, where the tarball is made.
  page.take('sh', 'useradd');

  await world.serves(serve);
  await world.isReady();

  // Both at once with what follows: most of their time is a wait for others to start.
  const newBroker = world.run(broker, 'owsla', { OWSLA_AMQP: '' });
  t.teardown(() => newBroker.end('SIGKILL'));
  const main = world.run(twoCommands.replace('DURATION=15', 'DURATION=1'), 'owsla', {
    OWSLA_TEST_AMQP: world.vhost.admin,
  });

  t.test('a device asks the first backend, in JavaScript and in C', async (t) => {
    world.save('device.mjs', js);
    world.save('backend.rb', ruby);
    if (!noBunny) {
      const backend = world.run('ruby backend.rb');
      t.teardown(() => backend.end('SIGKILL'));
      await world.untilConsumed('backend.first');
      const answer = await answerOf(world.run('npm exec -- node device.mjs'));
      t.match(answer, /^\[\s*2,\s*<Buffer( \w\w){16}>,\s*\{ keepalive: 60,.*\}\s*\]$/m);
      t.match(answer, /\[ 8, 1, 0, <Buffer 63 61 72 64 20 34 37 31 31> \]/, 'card 4711');
      await backend.prints(/^door-17 asks about door\.badge: card 4711$/m);

      if (!noCompiler) {
        const output = await world.ends(t, device);
        t.equal(output, 'welcome, keepalive 60 s\nreply 1 status 0: card 4711\n');
      }
      await backend.end('SIGKILL');
    }
    t.match(await answerOf(world.run('npm exec -- node device.mjs')), /\[ 8, 1, 2, <Buffer > \]/);
  });

  t.test('the broker prints what the other terminals need, and goes at Ctrl-C', async (t) => {
    await newBroker.prints(/^export OWSLA_AMQP=\S+$/m);
    const [, url = ''] = /^export OWSLA_AMQP=(\S+)$/m.exec(newBroker.output) ?? [];
    const connection = await connect(url);
    await connection.close();
    await newBroker.end('SIGINT');
    await t.rejects(connect(url));
  });

  t.test('make run, for a second', async (t) => {
    t.equal(await main.exit, 0, main.output);
    t.match(main.output, /^PASSED/m);
  });
});

await everyBlockOf('examples/README.md', async (page, t) => {
  const backend = page.take('sh', 'backend.rb');
  const device = page.take('sh', 'cc ');
  const connected = page.take('sh', '/tmp/device 127.0.0.1 7000 door-17\n');
  const unlock = page.take('sh', 'unlock.rb');

  t.test('what the terminals print', { skip: noBunny || noCompiler }, async (t) => {
    const answering = world.run(backend);
    t.teardown(() => answering.end('SIGKILL'));
    await answering.prints(/^ready$/m);

    t.equal(await world.ends(t, device), page.shown('ack 1'));

    const door = world.run(connected);
    t.teardown(() => door.end('SIGKILL'));
    await door.prints(/^welcome/m);
    t.equal(await world.ends(t, unlock), page.shown('delivered'));
  });
});
