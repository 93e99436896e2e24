/** Presence of a real node: events, queries, takeovers, and what is remembered over a restart. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { TYPE } from '../../src/wire/message.ts';
import { Device, END } from '../helpers/fakes/device.ts';
import { Subscriber } from '../helpers/fakes/subscriber.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Server, type ServerOptions } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';

const broker = await findBroker();
t.teardown(() => broker.stop());
let prefixes = 0;

/** A data folder that outlives a node. */
function dataDir(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'owsla-data-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

interface Node {
  readonly server: Server;
  readonly prefix: string;
}

function newPrefix(): string {
  prefixes += 1;
  return `presence-${process.pid}-${prefixes}`;
}

async function start(t: Test, more: Partial<ServerOptions> = {}): Promise<Node> {
  const prefix = more.prefix ?? newPrefix();
  const server = await Server.start({ amqp: broker.url, prefix, acceptors: 2, ...more });
  t.teardown(() => server.stop());
  return { server, prefix };
}

async function subscribe(t: Test, { prefix }: Node): Promise<Subscriber> {
  const subscriber = await Subscriber.start(broker.url, prefix);
  t.teardown(() => subscriber.close());
  return subscriber;
}

t.test('a device that comes and goes: online, offline, with its connection id', async (t) => {
  const node = await start(t);
  const subscriber = await subscribe(t, node);

  const device = await Device.open(node.server.port, 'door-17');
  await waitFor('online', async () => subscriber.heard.length === 1);
  device.close();
  await waitFor('offline', async () => subscriber.heard.length === 2);

  t.match(subscriber.heard, [
    { device: 'door-17', seq: 1, online: true, reason: 'connected' },
    { device: 'door-17', seq: 2, online: false, reason: 'peer-fin' },
  ]);
  const [first, second] = subscriber.heard;
  t.equal(first?.connection, second?.connection);
  t.match(first?.connection, /^[0-9a-f-]{36}$/);
  t.ok(Math.abs(Date.now() - Number(first?.at)) < 60_000);
});

t.test('the newer link of a device wins: the older gets BYE taken-over, once', async (t) => {
  const node = await start(t, { acceptors: 3 });
  const subscriber = await subscribe(t, node);
  const { server } = node;
  const links = [await Device.open(server.port, 'door-17')];
  for (let at = 1; at < 5; at += 1) {
    const next = await Device.open(server.port, 'door-17');
    t.match(await links.at(-1)?.expect(TYPE.BYE), { reason: 'taken-over' });
    t.equal(await links.at(-1)?.next(), END);
    links.push(next);
  }

  await waitFor('five events', async () => subscriber.heard.length === 5);
  t.same(
    subscriber.heard.map(({ seq, online, reason }) => [seq, online, reason]),
    [1, 2, 3, 4, 5].map((seq) => [seq, true, seq === 1 ? 'connected' : 'takeover']),
  );
  await server.untilMetric('owsla_closes_total', 'reason="taken-over"', (n) => n === 4);
  // Each acceptor reports in its own time: who holds the last link may do so later.
  await server.untilMetric('owsla_links', '', (n) => n === 1);
});

t.test('queries: one device, an unknown one, all in pages, and a bad question', async (t) => {
  const node = await start(t);
  const subscriber = await subscribe(t, node);
  const names = Array.from({ length: 25 }, (_, at) => `door-${String(at).padStart(2, '0')}`);
  await Promise.all(names.map((name) => Device.open(node.server.port, name)));
  await waitFor('all online', async () => subscriber.online().length === 25);

  t.match(await subscriber.query({ device: 'door-07' }), {
    devices: [{ device: 'door-07', online: true, seq: 1 }],
    next: null,
  });
  t.same((await subscriber.query({ device: 'door-99' })).devices, []);
  const late = new Subscriber(broker.url, node.prefix);
  const asked = await subscriber.query({ after: '', limit: 10 });
  t.same(asked.next, 'door-09');
  for (const event of asked.devices) late.merge(event);
  t.equal(late.online().length, 10);
  t.equal(await subscriber.catchUp(10), 3);
  t.match(await subscriber.query({ limit: 0 }), { error: 'bad-query' });
  await node.server.untilMetric('owsla_presence_queries_total', 'fate="bad"', (n) => n === 1);
});

t.test('a stop says offline of every device before it ends', async (t) => {
  const node = await start(t, { limits: { drainPaceMs: 100 } });
  const subscriber = await subscribe(t, node);
  const names = Array.from({ length: 20 }, (_, at) => `door-${at}`);
  const devices = await Promise.all(names.map((name) => Device.open(node.server.port, name)));
  await waitFor('all online', async () => subscriber.online().length === 20);

  node.server.signal('SIGTERM');
  for (const device of devices) device.expect(TYPE.BYE).then(() => device.close());
  t.equal(await node.server.ended(), 0);

  await waitFor('all offline', async () => subscriber.online().length === 0);
  t.ok(subscriber.heard.slice(20).every(({ reason, seq }) => reason === 'draining' && seq === 2));
});

t.test('everything dies at once: the next start says offline, in the same epoch', async (t) => {
  const folder = dataDir(t);
  const prefix = newPrefix();
  const flags = ['--data-dir', folder];
  const node = await start(t, { prefix, flags });
  const subscriber = await subscribe(t, node);
  const names = Array.from({ length: 10 }, (_, at) => `door-${at}`);
  await Promise.all(names.map((name) => Device.open(node.server.port, name)));
  await waitFor('all online', async () => subscriber.online().length === 10);
  await node.server.stop();

  const next = await start(t, { prefix, flags });

  await waitFor('all offline', async () => subscriber.online().length === 0);
  // The last to die may have seen an acceptor's end.
  const reasons = ['node-ended', 'acceptor-ended'];
  const ends = subscriber.heard.filter(({ online }) => !online);
  t.ok(ends.every(({ reason, seq }) => reasons.includes(reason) && seq === 2));
  await Device.open(next.server.port, 'door-3');
  await waitFor('online again', async () => subscriber.online().length === 1);
  t.match(subscriber.view.get('door-3'), { seq: 3, online: true, reason: 'connected' });
  t.equal(new Set(subscriber.heard.map(({ epoch }) => epoch)).size, 1);
});

t.test('a killed acceptor: its devices are offline, once it is seen to have ended', async (t) => {
  const node = await start(t);
  const subscriber = await subscribe(t, node);
  const names = Array.from({ length: 30 }, (_, at) => `door-${at}`);
  await Promise.all(names.map((name) => Device.open(node.server.port, name)));
  await waitFor('all online', async () => subscriber.online().length === 30);
  await node.server.untilMetric('owsla_links', '', (links) => links === 30);
  const lost = await node.server.metric('owsla_acceptor_links', 'acceptor="1"');

  process.kill(node.server.childPid('acceptor 1'), 'SIGKILL');

  await waitFor('its devices offline', async () => subscriber.online().length === 30 - lost);
  const ends = subscriber.heard.filter(({ online }) => !online);
  t.equal(ends.length, lost);
  t.ok(ends.every(({ reason }) => reason === 'acceptor-ended'));
});

t.test('a killed registrar finds out what it missed', async (t) => {
  const node = await start(t);
  const subscriber = await subscribe(t, node);
  const stays = await Device.open(node.server.port, 'stays');
  const goes = await Device.open(node.server.port, 'goes');
  await waitFor('both online', async () => subscriber.online().length === 2);

  process.kill(node.server.childPid('registrar'), 'SIGKILL');
  goes.close();
  await Device.open(node.server.port, 'comes');

  await waitFor('the truth', async () => subscriber.online().join() === 'comes,stays');
  t.equal(subscriber.view.get('stays')?.seq, 1, 'no event for who stayed');
  t.equal(stays.waiting, 0);
});
