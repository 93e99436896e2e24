/**
 * Devices of which only a backend knows: what it says is done, and when it is dead, known devices
 * get in and others are told to come back. OWSLA_SOAK: dead for ten minutes, else for 5 s.
 */
import { randomUUID } from 'node:crypto';
import type { ConsumeMessage } from 'amqplib';
import t, { type Test } from 'tap';
import { AuthBackend } from '../helpers/fakes/authBackend.ts';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { Commander } from '../helpers/fakes/commander.ts';
import { Device, event, hello } from '../helpers/fakes/device.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';

const IS_SOAK = process.env.OWSLA_SOAK !== undefined;
const DEAD_MS = IS_SOAK ? 600_000 : 5_000;
/** Through the backend when it is back, and how many at once. */
const RETURNING = IS_SOAK ? 6_000 : 1_500;
const AT_ONCE = 100;
const PER_SECOND_MIN = IS_SOAK ? 300 : 50;
const SECRET = 'geheim-7f3a';

const broker = await findBroker();
const prefix = `test-${randomUUID()}`;
const server = await Server.start({
  ...{ amqp: broker.url, prefix, flags: ['--auth', 'backend'] },
  limits: { authAskMs: 1_000, authCacheMs: 200, authRetryMs: 20_000, alarmRaiseMs: 0 },
});
t.teardown(async () => {
  await server.stop();
  await forgetTopology(broker.url, prefix);
  await broker.stop();
});

const seconds = (fromNow: number) => Math.floor(Date.now() / 1_000) + fromNow;
const knowing = new AuthBackend(broker.url, prefix, {
  yes: () => ({ allow: true }),
  no: () => ({ allow: false }),
  soon: () => ({ allow: true, expires: seconds(3) }),
  over: () => ({ allow: true, expires: seconds(-1) }),
  doors: () => ({ allow: true, topics: ['door.#'] }),
  nothing: () => ({ allow: true, topics: [] }),
  text: () => 'true',
  one: () => ({ allow: 1 }),
  ms: () => ({ allow: true, expires: Date.now() + 60_000 }),
});
await knowing.open();
t.teardown(() => knowing.close());

async function comes(id: string, says: string): Promise<Device> {
  const device = await Device.connect(server.port);
  device.send(hello(id, { token: `${SECRET}:${says}` }));
  return device;
}

/** What it is told first. */
async function told(id: string, says: string): Promise<object> {
  const device = await comes(id, says);
  const item = await device.next();
  device.close();
  return typeof item === 'string' ? { type: item } : item;
}

const fate = (name: string) =>
  server.metricNow('owsla_backend_auth_questions_total', `fate="${name}"`);

t.test('what it is asked, and yes', async (t) => {
  t.match(await told('door-1', 'yes'), { type: 'welcome' });
  const { properties, fields, content } = knowing.asked[0] as ConsumeMessage;
  t.match(JSON.parse(content.toString()), {
    ...{ device: 'door-1', token: `${SECRET}:yes`, listener: 'devices' },
    peer: /^127\.0\.0\.1:\d+$/,
  });
  t.match(properties, {
    ...{ appId: 'owsla', type: 'auth', contentType: 'application/json', deliveryMode: 1 },
    ...{ correlationId: /^[\da-f]{32}$/, expiration: '1000' },
  });
  t.match(properties.replyTo, new RegExp(`^${prefix}\\.auth\\.`));
  t.match(fields, { exchange: `${prefix}.auth`, routingKey: 'auth' });
});

t.test('no, and what is no answer', async (t) => {
  t.match(await told('door-2', 'no'), { type: 'error', code: 'auth-failed' });
  t.match(await told('door-2', 'over'), { type: 'error', code: 'auth-failed' });
  for (const says of ['text', 'one', 'ms']) {
    t.match(await told('door-3', says), { type: 'bye', reason: 'auth-unavailable' }, says);
  }
  t.equal(await fate('malformed'), 3);
  t.equal(await fate('denied'), 1);
});

t.test('a proof that ends, ends its link', async (t) => {
  const device = await comes('door-4', 'soon');
  await device.expect('welcome');
  t.match(await device.rest(), [{ type: 'bye', reason: 'auth-expired' }]);
});

t.test('topics', async (t) => {
  const device = await comes('door-5', 'doors');
  await device.expect('welcome');
  device.send(event(1, 'till.open'), event(2, 'door.open'));
  t.match(await device.expect('error'), { code: 'not-allowed', id: 1 });
  t.match(await device.expect('ack'), { id: 2 });
  device.close();
  const mute = await comes('door-6', 'nothing');
  await mute.expect('welcome');
  mute.send(event(1, 'door.open'));
  t.match(await mute.expect('error'), { code: 'not-allowed', id: 1 });
  mute.close();
});

/** Devices come, one that is known and one that is not, until `ms` are over. */
async function whileDead(ms: number): Promise<{ known: object[]; unknown: object[] }> {
  const known: object[] = [];
  const unknown: object[] = [];
  const end = performance.now() + ms;
  for (let count = 0; performance.now() < end; count += 1) {
    const [one, other] = await Promise.all([told('door-1', 'yes'), told(`new-${count}`, 'yes')]);
    known.push(one);
    unknown.push(other);
  }
  return { known, unknown };
}

function check(t: Test, { known, unknown }: Awaited<ReturnType<typeof whileDead>>): void {
  t.ok(known.length > 0);
  t.same([...new Set(known.map((item) => (item as { type: string }).type))], ['welcome']);
  for (const item of unknown) t.match(item, { type: 'bye', reason: 'auth-unavailable' });
  const after = unknown.map((item) => (item as { retryAfter: number }).retryAfter);
  t.ok(
    after.every((ms) => ms >= 0 && ms <= 20_000),
    'within authRetryMs',
  );
  if (after.length > 3) t.ok(new Set(after).size > 1, 'and not all at once');
}

t.test('it takes questions and says nothing', async (t) => {
  knowing.hangs = true;
  check(t, await whileDead(DEAD_MS));
  t.ok((await fate('unanswered')) > 0);
  t.ok((await server.metric('owsla_backend_auth_stale_verdicts_total')) > 0);
  const health = JSON.parse(await server.page('/health/ready'));
  t.match(health, { degraded: [{ part: 'auth' }] }, 'its health says so, and stays ready');
  await server.untilMetric('owsla_alarm', 'alarm="auth-away"', (value) => value === 1);
});

t.test('meanwhile neither commands nor presence wait', async (t) => {
  const device = await comes('door-1', 'yes');
  await device.expect('welcome');
  const commander = await Commander.connect(broker.url, prefix);
  const crowd = await Promise.all(Array.from({ length: 200 }, (_, at) => comes(`c-${at}`, 'yes')));
  const said = Promise.all(crowd.map((one) => one.rest()));
  await server.untilMetric('owsla_backend_auth_asking', '', (asking) => asking > 100);
  const began = performance.now();
  // The registrar knows by now that it is here.
  await commander.send('door-1', { payload: 'now' });
  t.match(await device.expect('command'), { topic: 'door.open' });
  t.comment(`a command beside them: ${Math.round(performance.now() - began)} ms`);
  t.equal(await server.metricNow('owsla_presence_waiting'), 0);
  for (const rest of await said) t.match(rest, [{ type: 'bye', reason: 'auth-unavailable' }]);
  device.close();
  await commander.close();
});

t.test('the registrar dies as well: acceptors know', async (t) => {
  process.kill(server.childPid('registrar'), 'SIGKILL');
  check(t, await whileDead(2_000));
});

/** Resolves when there is another one. */
async function dies(child: string): Promise<void> {
  const pid = server.childPid(child);
  process.kill(pid, 'SIGKILL');
  await waitFor(`another ${child}`, () => server.childPid(child) !== pid);
}

t.test('it has learned what they know: no acceptor has to live on for it', async (t) => {
  await server.untilMetric('owsla_backend_auth_cached', '', (cached) => cached > 0);
  await Promise.all([dies('acceptor 1'), dies('acceptor 2')]);
  await waitFor('ready health', () => server.isReady());
  check(t, await whileDead(1_000));
});

t.test('it is gone, and its queue with it: nobody waits', async (t) => {
  const asked = knowing.asked.length;
  await waitFor('the new registrar to ask', async () => {
    await told('new', 'yes');
    return knowing.asked.length > asked;
  });
  await knowing.close();
  check(t, await whileDead(1_000));
  t.ok((await fate('unroutable')) > 0);
});

t.test('it is back: all get in', async (t) => {
  knowing.hangs = false;
  await knowing.open();
  const began = performance.now();
  let next = 0;
  const welcomed: Device[] = [];
  const one = async () => {
    while (next < RETURNING) {
      const device = await comes(`back-${next++}`, 'yes');
      await device.expect('welcome');
      welcomed.push(device);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  const perSecond = (RETURNING * 1_000) / (performance.now() - began);
  t.comment(`${RETURNING} connects through the backend: ${Math.round(perSecond)} a second`);
  t.equal(welcomed.length, RETURNING);
  t.ok(perSecond > PER_SECOND_MIN);
  for (const device of welcomed) device.close();
});

t.test('no token is in the log', async (t) => {
  const said = JSON.stringify(server.log) + server.errors.join();
  t.notMatch(said, SECRET);
  t.notMatch(await server.page('/metrics'), SECRET);
});
