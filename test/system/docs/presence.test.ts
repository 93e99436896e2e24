/** docs/presence.md and docs/commands.md: a backend asks who is there, and tells one to act. */
import { randomUUID } from 'node:crypto';
import { copyFileSync, rmSync } from 'node:fs';
import t, { type Test } from 'tap';
import { everyBlockOf, shapeOf } from '../../helpers/docs.ts';
import { Backend } from '../../helpers/fakes/backend.ts';
import { Device } from '../../helpers/fakes/device.ts';
import { noBunny, noSqlite } from '../../helpers/processes/programs.ts';
import { waitFor } from '../../helpers/waitFor.ts';
import { DocsWorld } from '../../helpers/worlds/docsWorld.ts';

const world = await DocsWorld.make(t);
const node = await world.serves('owsla serve --data-dir /var/lib/owsla');
await world.isReady();

/** Asks as the page has it, and gives what comes to the queue in `reply_to`. */
async function answersTo(t: Test, questions: readonly string[]): Promise<unknown[]> {
  const { channel } = await connected(t);
  const queue = `backend.${randomUUID()}`;
  await channel.assertQueue(queue, { exclusive: true });
  const answers: unknown[] = [];
  const all = Promise.withResolvers<void>();
  await channel.consume(queue, (message) => {
    answers.push(JSON.parse(String(message?.content)));
    if (answers.length === questions.length) all.resolve();
  });
  for (const question of questions) {
    channel.sendToQueue('owsla.presence.query', Buffer.from(question), { replyTo: queue });
  }
  await all.promise;
  return answers;
}

async function connected(t: Test): Promise<Backend> {
  const backend = await Backend.connect(world.users.backend);
  t.teardown(() => backend.close());
  return backend;
}

await everyBlockOf('docs/commands.md', async (page, t) => {
  const ruby = page.take('ruby', '# command.rb');

  t.test('the first example opens a door', { skip: noBunny }, async (t) => {
    await world.device(t, 'door-17');
    world.save('command.rb', ruby);
    const said = await world.ends(t, 'ruby command.rb');
    const shown = [...ruby.matchAll(/^# ((?:delivered|result) .*)$/gm)].map(([, line]) => line);
    const known = said.replaceAll(/"key"=>"(\w{4})\w+"/g, '"key"=>"8f0c..."');
    t.same(
      known
        .trim()
        .split('\n')
        .map((line) => line.trim()),
      shown,
    );
  });
});

await everyBlockOf('docs/presence.md', async (page, t) => {
  const event = page.take('json', '"reason"');
  const snapshot = JSON.parse(page.take('json', '"next"'));
  const restore = page.take('sh', 'owsla presence restore');

  t.test('owsla presence prints events like the one that is shown', async (t) => {
    const watching = world.run(page.inline('owsla presence'));
    t.teardown(() => watching.end('SIGKILL'));
    // Nothing says when it is bound; the first device that comes after that makes it print.
    let devices = 0;
    await waitFor('an event', async () => {
      devices += 1;
      const device = await Device.open(world.port, `panel-${devices}`);
      t.teardown(() => device.close());
      return watching.output.includes('\n');
    });
    const [line = ''] = watching.output.split('\n');
    t.same(shapeOf(JSON.parse(line)), shapeOf(JSON.parse(event)));
    t.same(Object.keys(JSON.parse(line)), Object.keys(JSON.parse(event)), 'in this order');
  });

  t.test('questions and answers', async (t) => {
    await world.device(t, 'door-17');
    const questions = ['{"device":"door-17"}', '{}', '{"after":"door-17","limit":500}'];
    const [one, first, next] = await answersTo(
      t,
      questions.map((text) => page.inline(text)),
    );
    const { devices } = snapshot;
    const { '...': others, ...shown } = devices[0];
    t.equal(others, '...');
    for (const answer of [one, first]) {
      t.match(answer, { epoch: Number, devices: [{ device: 'door-17' }] });
      t.same(Object.keys(answer as object), Object.keys(snapshot));
      t.match(shapeOf(answer), { devices: [shapeOf(shown)] });
    }
    t.match(next, { next: null });
    const [bad] = await answersTo(t, ['{"limit":0}']);
    t.same(shapeOf(bad), shapeOf(JSON.parse(page.inline('{"error":"bad-query"'))));
  });

  t.test('a backup, and its restore', { skip: noSqlite }, async (t) => {
    await world.ends(t, `cd /var/lib/owsla\n${page.inline('sqlite3 presence.db')}`);
    await node.end();
    const at = (path: string) => world.placed(path);
    copyFileSync(at('/backup/presence.db'), at('/var/lib/owsla/presence.db'));
    rmSync(at('/var/lib/owsla/presence.db-wal'), { force: true });

    t.match(await world.ends(t, restore), /epoch/);

    await world.serves('owsla serve --data-dir /var/lib/owsla');
    const [all] = (await answersTo(t, ['{"device":"door-17"}'])) as [{ devices: object[] }];
    t.match(all.devices, [{ device: 'door-17', online: false, reason: 'restored' }]);
  });
});
