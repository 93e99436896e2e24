/**
 * Questions about devices while the broker loses what they need, or itself: known devices get in,
 * others as soon as it is back, and nothing has to be started again.
 */
import t from 'tap';
import { names } from '../../src/broker/topology.ts';
import { AuthBackend } from '../helpers/fakes/authBackend.ts';
import { Backend } from '../helpers/fakes/backend.ts';
import { Device, hello } from '../helpers/fakes/device.ts';
import { startBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';

const broker = await startBroker();
const prefix = 'auth-topology';
const server = await Server.start({
  ...{ amqp: broker.url, prefix, acceptors: 1, flags: ['--auth', 'backend'] },
  limits: {
    ...{ authAskMs: 1_000, authCacheMs: 100 },
    ...{ heartbeatMs: 1_000, reconnectMaxMs: 500, childSilenceMs: 60_000 },
  },
});
const backend = new AuthBackend(broker.url, prefix, { yes: () => ({ allow: true }) });
await backend.open();
t.teardown(async () => {
  await backend.close().catch(() => {});
  await server.stop();
  await broker.stop();
});

async function told(id: string): Promise<object> {
  const device = await Device.connect(server.port);
  device.send(hello(id, { token: 'secret:yes' }));
  const item = await device.next();
  device.close();
  return typeof item === 'string' ? { type: item } : item;
}

let count = 0;
/** Somebody new gets in, sooner or later. */
async function isBack(): Promise<void> {
  await waitFor('the backend to be asked', async () => {
    count += 1;
    return ((await told(`new-${count}`)) as { type: string }).type === 'welcome';
  });
}

async function isAway(t: { match(found: unknown, wanted: object): boolean }): Promise<void> {
  count += 1;
  const [known, unknown] = await Promise.all([told('door-1'), told(`new-${count}`)]);
  t.match(known, { type: 'welcome' });
  t.match(unknown, { type: 'bye', reason: 'auth-unavailable' });
}

t.test('an answer that nobody waits for is counted', async (t) => {
  t.match(await told('door-1'), { type: 'welcome' });
  const replyTo = String(backend.asked[0]?.properties.replyTo);
  const rogue = await Backend.connect(broker.url);
  t.teardown(() => rogue.close());
  for (const correlationId of [
    '',
    'x'.repeat(200),
    String(backend.asked[0]?.properties.correlationId),
  ]) {
    rogue.channel.sendToQueue(replyTo, Buffer.from('{"allow":true}'), { correlationId });
  }
  rogue.channel.sendToQueue(replyTo, Buffer.from('{"allow":true}'));
  await server.untilMetric('owsla_backend_auth_stray_verdicts_total', '', (strays) => strays === 4);
});

t.test('the queue for answers is deleted', async () => {
  const operator = await Backend.connect(broker.url);
  await operator.channel.deleteQueue(String(backend.asked.at(-1)?.properties.replyTo));
  await operator.close();
  await isBack();
});

t.test('the exchange is deleted, and with it the binding', async (t) => {
  const operator = await Backend.connect(broker.url);
  await operator.channel.deleteExchange(names(prefix).auth);
  await operator.close();
  await isAway(t);
  await waitFor('the exchange', async () => {
    const looker = await Backend.connect(broker.url);
    const found = looker.channel.checkExchange(names(prefix).auth);
    const isThere = await found.then(
      () => true,
      () => false,
    );
    await looker.close();
    return isThere;
  });
  await isAway(t);
  await backend.close();
  await backend.open();
  await isBack();
});

t.test('the broker is killed, and comes back', async (t) => {
  await broker.kill();
  await waitFor('a loss', () =>
    server.log.some(({ link, msg }) => link === 'auth' && msg === 'broker link lost'),
  );
  await isAway(t);
  await broker.start();
  await waitFor('the exchange', () =>
    backend.open().then(
      () => true,
      () => false,
    ),
  );
  await isBack();
});

t.test('the broker hangs, and goes on', async (t) => {
  broker.pause();
  await isAway(t);
  await isAway(t);
  broker.resume();
  await waitFor('all connections', () => server.isReady());
  await backend.close().catch(() => {});
  await waitFor('the exchange', () =>
    backend.open().then(
      () => true,
      () => false,
    ),
  );
  await isBack();
});
