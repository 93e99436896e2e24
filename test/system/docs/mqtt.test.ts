/** docs/mqtt.md: its first two minutes, with mosquitto's clients at the listener of this test. */
import t from 'tap';
import { everyBlockOf } from '../../helpers/docs.ts';
import { noBunny } from '../../helpers/processes/programs.ts';
import { DocsWorld } from '../../helpers/worlds/docsWorld.ts';
import { noMosquitto, noPaho } from '../../interop/lib/clients.ts';

const world = await DocsWorld.make(t);

await everyBlockOf('docs/mqtt.md', async (page, t) => {
  const serve = page.take('sh', 'owsla serve').replace('1883', '0');
  const node = await world.serves(serve);
  await world.isReady();
  const port = /"mqtt 127\.0\.0\.1:(\d+)/.exec(node.output)?.[1] ?? '';
  /** At this port, and said line by line though it is no terminal. */
  const here = (text: string) =>
    text
      .replaceAll(/^mosquitto_\w+/gm, (program) => `stdbuf -oL ${program} -p ${port}`)
      .replace('1883', port);
  const backend = page.take('sh', 'ruby examples/backend.rb');
  const says = here(page.take('sh', 'mosquitto_pub'));
  const answer = page.shown('$owsla/reply/');
  const takes = here(page.take('sh', 'mosquitto_sub'));
  const command = page.take('sh', 'owsla command');
  const shown = page.shown('$owsla/command/');
  const door = here(page.take('sh', 'door_mqtt.py'));

  t.test('an event, a request, a command', { skip: noMosquitto || noBunny }, async (t) => {
    const echo = world.run(backend);
    t.teardown(() => echo.end('SIGKILL'));
    await echo.prints(/^ready$/m);
    t.equal(await world.ends(t, says), answer);

    const device = world.run(`${takes.trimEnd()} -d\n`);
    t.teardown(() => device.end('SIGKILL'));
    await device.prints(/^Subscribed /m);
    const told = await world.ends(t, command, 4);
    t.match(told, /^delivered/m);
    t.match(told, /^expired no-result/m);
    const [words = ''] = shown.match(/door.*/) ?? [];
    t.ok(device.output.includes(words));
    await device.end('SIGKILL');
  });

  t.test('a door that answers', { skip: noPaho }, async (t) => {
    const running = world.run(door);
    t.teardown(() => running.end('SIGKILL'));
    await running.prints(/^connected$/m);
    t.match(await world.ends(t, command), /^result 0 opened/m);
  });
});
