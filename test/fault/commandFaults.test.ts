/**
 * Commands while something fails under them: an acceptor that is stopped, a store that takes
 * nothing, a broker that is away, a node that is drained or killed. One node after the other, on
 * one store.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type CommandMessage, TYPE } from '../../src/wire/message.ts';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { Commander } from '../helpers/fakes/commander.ts';
import { Device } from '../helpers/fakes/device.ts';
import { Obedient } from '../helpers/fakes/obedient.ts';
import { Subscriber } from '../helpers/fakes/subscriber.ts';
import { ToxicProxy } from '../helpers/fakes/toxicProxy.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Server, type ServerOptions } from '../helpers/processes/server.ts';
import { SqliteFaults } from '../helpers/processes/sqliteFaults.ts';
import { waitFor } from '../helpers/waitFor.ts';

const KEEP_MS = 300_000;

const dataDir = mkdtempSync(join(tmpdir(), 'owsla-data-'));
const broker = await findBroker();
const faults = new SqliteFaults();
const proxy = await ToxicProxy.start(broker.port);
const options: ServerOptions = {
  amqp: proxy.urlFor(broker.url),
  prefix: `commands-${randomUUID()}`,
  acceptors: 1,
  limits: {
    reconnectMaxMs: 200,
    presenceRetryMs: 100,
    lingerMs: 100,
    drainMs: 100,
    drainPaceMs: 0,
    commandResultMs: KEEP_MS,
  },
  flags: ['--data-dir', dataDir],
  env: faults.env,
};
let server = await Server.start(options);
const commander = await Commander.connect(broker.url, options.prefix);
const subscriber = await Subscriber.start(broker.url, options.prefix);
t.teardown(async () => {
  faults.clear();
  await commander.close();
  await subscriber.close();
  await server.stop();
  proxy.stop();
  await forgetTopology(broker.url, options.prefix);
  await broker.stop();
  faults.remove();
  rmSync(dataDir, { recursive: true });
});

function untilOnline(deviceId: string, online = true): Promise<void> {
  const is = () => subscriber.view.get(deviceId)?.online === online;
  return waitFor(`${deviceId} ${online ? 'online' : 'offline'}`, is);
}

/** A device that does as it is told, through every restart of the node. */
async function awake(t: Test, deviceId: string): Promise<Obedient> {
  const device = new Obedient(() => server.port, deviceId);
  t.teardown(() => device.sleep());
  await device.wake();
  await untilOnline(deviceId);
  return device;
}

/** A device that answers when the test says so. */
async function open(t: Test, deviceId: string): Promise<Device> {
  const device = await Device.open(server.port, deviceId);
  t.teardown(() => device.close());
  await untilOnline(deviceId);
  return device;
}

function keep(deviceId: string, payload: string): Promise<string> {
  return commander.send(deviceId, { payload, keepMs: KEEP_MS });
}

function answer(device: Device, { id }: CommandMessage, text: string): void {
  device.send({ type: TYPE.RESULT, id, status: 0, payload: Buffer.from(text) });
}

t.test(
  'an acceptor that stands still: what is due meanwhile does not reach the device',
  async (t) => {
    const device = await awake(t, 'door-1');
    const acceptor = server.childPid('acceptor 1');
    process.kill(acceptor, 'SIGSTOP');
    const deadline = { headers: { deadline: Date.now() + 500 } };
    const transient = await commander.send('door-1', { properties: deadline });
    const kept = await commander.send('door-1', { keepMs: 500 });
    await Promise.all([commander.final(transient), commander.final(kept)]);
    process.kill(acceptor, 'SIGCONT');

    t.match(await commander.command('door-1', { payload: 'next' }), { type: 'result' });
    t.same(device.acts, ['next']);
    t.same(commander.ends(transient), ['expired no-answer']);
    t.same(commander.ends(kept), ['expired no-answer']);
  },
);

/**
 * Publish again what was told as `not-sent`, as a sender may: what comes before the node has seen
 * how much had lain in the queue while it was away counts as of then.
 */
async function untilSent(deviceId: string, payload: string): Promise<void> {
  while ((await commander.command(deviceId, { payload })).reason === 'not-sent');
}

/** Resolves when the store has failed once more. */
async function failed(fault: 'full' | 'read-only', meanwhile: () => Promise<void>): Promise<void> {
  const failures = () => server.log.filter(({ msg }) => msg === 'presence store failed').length;
  const before = failures();
  faults.order({ fault });
  await meanwhile();
  await waitFor('the store to fail', () => failures() > before);
}

for (const fault of ['full', 'read-only'] as const) {
  t.test(`a store that is ${fault}: kept ones wait, unsent and unacked; others go`, async (t) => {
    const name = `door-${fault}`;
    const device = await open(t, name);
    const first = await keep(name, 'first');
    const command = await device.expect(TYPE.COMMAND);

    let second = '';
    await failed(fault, async () => {
      second = await keep(name, 'second');
    });
    answer(device, command, 'done');
    const now = await commander.send(name, { payload: 'now' });
    const transient = await device.expect(TYPE.COMMAND);
    t.equal(transient.payload.toString(), 'now', 'a transient one goes on');
    answer(device, transient, 'done');
    await commander.final(now);
    t.same(commander.types(first), [], 'a result is not told before it is on record');
    t.same(commander.types(second), []);
    t.equal(device.waiting, 0, 'nor a command sent');

    // Had it been acked, the broker would not give it to the next registrar.
    if (fault === 'full') process.kill(server.childPid('registrar'), 'SIGKILL');
    faults.clear();
    // After a kill it is sent again: its answer went to a registrar that could not write it down.
    for (;;) {
      const next = await device.expect(TYPE.COMMAND);
      answer(device, next, 'done');
      if (next.payload.toString() === 'second') break;
      t.same(next.key, command.key);
    }
    for (const id of [first, second]) t.match(await commander.final(id), { type: 'result' });
    await server.untilMetric('owsla_command_kept', '', (kept) => kept === 0);
  });
}

t.test('the broker is away: each command under way has one end, when it is back', async (t) => {
  const device = await open(t, 'hall');
  const leaver = await open(t, 'leaver');
  const sleeper = new Obedient(server.port, 'sleeper');
  t.teardown(() => sleeper.sleep());
  await sleeper.wake();
  await untilOnline('sleeper');
  sleeper.sleep();
  await untilOnline('sleeper', false);
  const asked = await commander.send('hall', { payload: 'asked' });
  const command = await device.expect(TYPE.COMMAND);
  const kept = await keep('hall', 'kept');
  const keptCommand = await device.expect(TYPE.COMMAND);
  const left = await commander.send('leaver');
  await leaver.expect(TYPE.COMMAND);
  const waiting = await keep('sleeper', 'waiting');
  const results = () => server.metric('owsla_command_outcomes_total', 'type="result"');
  await server.untilMetric('owsla_command_kept', '', (count) => count === 2);
  const before = await server.metricNow('owsla_command_outcomes_total', 'type="result"');

  // What is written now, acks and outcomes, comes nowhere; and nobody knows that.
  proxy.cut();
  answer(device, command, 'one');
  answer(device, keptCommand, 'two');
  await waitFor('both results', async () => (await results()) === before + 2);
  proxy.reset();
  // A broker that still saw its consumer would hand it what comes next, and then nobody knows.
  await waitFor('the broker to see it', async () => (await commander.consumers()) === 0);
  leaver.close();
  await sleeper.wake();
  await waitFor('a kept one to be acted upon', () => sleeper.acts.length === 1);
  const old = await commander.send('hall', { payload: 'old' });
  const ids = [asked, kept, left, waiting, old];
  t.same(
    ids.flatMap((id) => commander.types(id)),
    [],
  );
  proxy.heal();
  for (const id of ids) await commander.final(id);
  const next = untilSent('hall', 'next');
  const last = await device.expect(TYPE.COMMAND);
  answer(device, last, 'three');
  await next;

  t.same(
    ids.map((id) => commander.ends(id)),
    [['result one'], ['result two'], ['expired link-lost'], ['result done'], ['expired not-sent']],
  );
  t.equal(last.payload.toString(), 'next', 'nothing was sent again');
});

/** What is under way when a node ends: of each kind one, and what the device has of it. */
async function underWay(t: Test, name: string) {
  const [talker, sleeper] = [`talker-${name}`, `sleeper-${name}`];
  const device = await open(t, talker);
  (await open(t, sleeper)).close();
  await untilOnline(sleeper, false);
  const transient = await commander.send(talker, { payload: 'now' });
  await device.expect(TYPE.COMMAND);
  const sent = await keep(talker, 'sent');
  const { key } = await device.expect(TYPE.COMMAND);
  const waiting = [await keep(sleeper, 'a'), await keep(sleeper, 'b')];
  await server.untilMetric('owsla_command_kept', '', (kept) => kept === 3);
  return { talker, sleeper, transient, sent, key, waiting };
}

/** The next node has the kept ones: sent again with the same key, or sent at last, in order. */
async function goesOn(t: Test, before: Awaited<ReturnType<typeof underWay>>): Promise<void> {
  const device = await open(t, before.talker);
  const again = await device.expect(TYPE.COMMAND);
  t.match(again, { key: before.key, payload: Buffer.from('sent') });
  answer(device, again, 'once');
  const sleeper = await awake(t, before.sleeper);
  for (const id of [before.sent, ...before.waiting]) await commander.final(id);

  t.same(commander.ends(before.sent), ['result once']);
  t.same(new Set(before.waiting.flatMap((id) => commander.ends(id))), new Set(['result done']));
  t.same(sleeper.acts, ['a', 'b', 'c'].slice(0, before.waiting.length));
}

t.test('a node is drained: transient ones have an end; the next start has the kept', async (t) => {
  const before = await underWay(t, 'drained');
  server.signal('SIGTERM');
  t.equal(await server.ended(), 0);
  t.match(await commander.final(before.transient), { type: 'expired', reason: 'link-lost' });
  before.waiting.push(await keep(before.sleeper, 'c'));

  server = await Server.start(options);
  await goesOn(t, before);
});

t.test('a whole node is killed: the same; of transient ones nobody knows', async (t) => {
  const devices = await Promise.all([1, 2, 3].map((at) => awake(t, `gate-${at}`)));
  const payloads = Array.from({ length: 8 }, (_, at) => String(at));
  const ids: string[] = [];
  const keepAll = async (some: readonly string[]) => {
    for (const payload of some) {
      for (const { deviceId } of devices) ids.push(await keep(deviceId, payload));
    }
  };
  const before = await underWay(t, 'killed');
  await keepAll(payloads.slice(0, 4));
  process.kill(-server.pid, 'SIGKILL');
  await server.ended();
  await keepAll(payloads.slice(4));

  server = await Server.start(options);
  await goesOn(t, before);
  t.match(await commander.final(before.transient), { type: 'expired', reason: 'unknown' });
  for (const id of ids) await commander.final(id);
  for (const { acts, deviceId } of devices) t.same(acts, payloads, deviceId);
  t.same(new Set(ids.flatMap((id) => commander.ends(id))), new Set(['result done']));
});

t.test('no command was told two different ends', async (t) => {
  t.same(commander.contradictions(), []);
});
