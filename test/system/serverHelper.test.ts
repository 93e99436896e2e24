/** The node that other tests start: it is theirs alone, and nothing of it stays. */
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import t from 'tap';
import { forgetTopology } from '../helpers/backend.ts';
import { findBroker } from '../helpers/broker.ts';
import { Server } from '../helpers/server.ts';
import { waitFor } from '../helpers/waitFor.ts';

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
  t.equal(readdirSync(server.folder).length, 1, 'the folder of its sockets');

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
