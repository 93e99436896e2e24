/** Programs and commands of docs/amqp.md, under the users that its own commands make. */
import t, { type Test } from 'tap';
import { everyBlockOf } from '../../helpers/docs.ts';
import { Backend } from '../../helpers/fakes/backend.ts';
import { Command } from '../../helpers/processes/command.ts';
import { at, noBunny, noPika } from '../../helpers/processes/programs.ts';
import { DocsWorld } from '../../helpers/worlds/docsWorld.ts';

const world = await DocsWorld.make(t);

async function asks(t: Test, status: number, answer: string): Promise<void> {
  const words = [...world.peer, 'door-17', '--request', 'door.open', 'card 4711'];
  const device = new Command([process.execPath, at('examples/device.ts'), ...words]);
  t.equal(await device.exit, status === 0 ? 0 : 1, device.output);
  t.match(device.output, `reply 1 status ${status}: ${answer}`);
}

/** A backend of the page as it is started: a device has `answer` of it. */
async function answers(t: Test, command: string, status: number, answer: string): Promise<void> {
  const backend = world.run(command);
  await world.untilConsumed('backend.badges');
  await asks(t, status, answer);
  await backend.end('SIGKILL');
}

async function makeUsers(t: Test, block: string): Promise<void> {
  t.equal(await world.ends(t, block), '');
  for (const [, name = '', password = ''] of block.matchAll(/add_user (\w+) +'([^']+)'/g)) {
    world.made.push(name);
    world.users[name === 'owsla' ? 'owsla' : 'backend'] = world.vhost.urlFor(name, password);
  }
}

await everyBlockOf('docs/amqp.md', async (page, t) => {
  const ruby = page.take('ruby', 'subscribe');
  const python = page.take('python', 'pika');
  const node = page.take('js', 'amqplib');
  const refusal = page.take('ruby', 'no such badge');
  const rescue = page.take('ruby', '# rescue.rb');
  await makeUsers(t, page.take('sh', 'add_user owsla'));
  t.equal(await world.ends(t, page.take('sh', 'add_user auth')), '');
  world.made.push('auth');
  await world.serves('owsla serve');
  await world.isReady();

  t.test('Ruby answers, and refuses', { skip: noBunny }, async (t) => {
    world.save('backend.rb', ruby);
    await answers(t, 'ruby backend.rb', 0, 'opened: card 4711');
    const answer = /^ *channel\.default_exchange\.publish.*\n/m;
    world.save('backend.rb', ruby.replace(answer, refusal));
    await answers(t, 'ruby backend.rb', 3, 'no such badge');
  });

  t.test('Python answers', { skip: noPika }, async (t) => {
    world.save('backend.py', python);
    await answers(t, 'python3 backend.py', 0, 'opened: card 4711');
  });

  t.test('Node answers, and rabbitmqctl shows what is there', async (t) => {
    world.save('backend.mjs', node);
    await answers(t, 'node backend.mjs', 0, 'opened: card 4711');
    t.match(await world.ends(t, page.inline('rabbitmqctl list_bindings')), /^owsla\.requests\t/m);
    const queues = await world.ends(t, page.inline('rabbitmqctl list_queues'));
    t.match(queues, /^backend\.badges\t0\t0$/m);
  });

  t.test('what was unrouted is rescued, headers and all', { skip: noBunny }, async (t) => {
    const words = [...world.peer, 'door-18', '--event', 'door.opened', 'one'];
    const sent = new Command([process.execPath, at('examples/device.ts'), ...words]);
    t.equal(await sent.exit, 0, sent.output);
    const backend = await Backend.connect(world.users.backend);
    t.teardown(() => backend.close());
    const { channel } = backend;
    await channel.assertQueue('backend.doors');
    await channel.bindQueue('backend.doors', 'owsla.events', '*.door.#');

    world.save('rescue.rb', rescue);
    await world.ends(t, 'ruby rescue.rb');

    const message = await channel.get('backend.doors', { noAck: true });
    if (!message) throw new Error('it is gone');
    t.equal(message.content.toString(), 'one');
    t.match(message.properties.headers, { device: 'door-18', topic: 'door.opened' });
    t.match(message.properties, { type: 'event', deliveryMode: 2 });
    t.equal(await channel.get('owsla.unrouted', { noAck: true }), false);
  });
});
