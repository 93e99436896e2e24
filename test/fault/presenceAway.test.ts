/**
 * The registrar, the broker or everything is away while a fleet comes and goes: no device waits,
 * nothing grows beyond its bound, and the truth is told soon after. One node for all of it: the
 * order matters. OWSLA_SOAK: 20,000 devices, or as many as this process may open files.
 */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import { Device, hello } from '../helpers/fakes/device.ts';
import { Flapper } from '../helpers/fakes/flappers.ts';
import { Subscriber } from '../helpers/fakes/subscriber.ts';
import { loopbackNet } from '../helpers/loopback.ts';
import { startBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';

const IS_SOAK = process.env.OWSLA_SOAK !== undefined;
/** What else this process has open. */
const OTHER_FILES = 500;
const DEVICES = IS_SOAK ? Math.min(20_000, openFilesMax() - OTHER_FILES) : 300;
/** For how long the broker is away. */
const AWAY_MS = IS_SOAK ? 120_000 : 2_000;
/** Generous in short, where other tests run beside this one. */
const SLACK = IS_SOAK ? 1 : 6;
const LONG_MS = 120_000;
const MiB = 1024 * 1024;
const PREFIX = 'away';
const OUTBOX_MAX = 2 * DEVICES;
const BATCH_MAX = 1_000;

const net = loopbackNet();
const dataDir = mkdtempSync(join(tmpdir(), 'owsla-data-'));
const broker = await startBroker();
const options = {
  amqp: broker.url,
  prefix: PREFIX,
  acceptors: 2,
  flags: ['--data-dir', dataDir],
  limits: {
    connectsPerSecond: 100_000,
    connectBurst: 100_000,
    greetingsMax: 100_000,
    // A slow machine is none of this test's business.
    greetingMs: 600_000,
    connectWaitMs: 600_000,
    restartsMax: 1_000,
    childSilenceMs: 300_000,
    keepaliveMs: 3_600_000,
    lingerMs: 100,
    brokerLossMs: 86_400_000,
    reconnectMaxMs: 500,
    // Events that are with the publisher are told, whatever the outbox has let go.
    publishWindowMax: Math.ceil(DEVICES / 4),
    presenceOutboxMax: OUTBOX_MAX,
    presenceBatchMax: BATCH_MAX,
  },
};
let server = await Server.start(options);
const subscriber = await Subscriber.start(broker.url, PREFIX);
const fleet = Array.from(
  { length: DEVICES },
  (_, at) => new Flapper(`door-${at}`, () => server.port, `${net}.${1 + (at % 32)}`),
);
const half = fleet.slice(0, DEVICES / 2);

t.teardown(async () => {
  leave(fleet);
  await subscriber.close();
  await server.stop();
  await broker.stop();
  rmSync(dataDir, { recursive: true });
});

function openFilesMax(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  return Number(/Max open files +(\d+)/.exec(limits)?.[1]);
}

function leave(devices: readonly Flapper[]): void {
  for (const device of devices) device.leave();
}

/** Resolves when each has WELCOME. */
async function connectAll(devices: readonly Flapper[]): Promise<void> {
  const wave = 500;
  for (let at = 0; at < devices.length; at += wave) {
    const some = devices.slice(at, at + wave);
    for (const device of some) device.connect();
    await areWelcome(some);
  }
}

function areWelcome(devices: readonly Flapper[]): Promise<void> {
  return waitFor('WELCOME', () => devices.every(({ connection }) => connection), LONG_MS);
}

/** The subscriber's view of each device is what the device knows. */
const isRight = () =>
  fleet.every(({ id, connection }) => {
    const word = subscriber.view.get(id);
    return (word?.online ? word.connection : undefined) === connection;
  });

/** Resolves with the ms it took. */
async function untilRight(): Promise<number> {
  const began = performance.now();
  await waitFor('the truth', isRight, LONG_MS);
  return Math.round(performance.now() - began);
}

function untilSettled(): Promise<void> {
  const isEmpty = async () => (await server.metric('owsla_presence_outbox')) === 0;
  return waitFor('an empty outbox', isEmpty, LONG_MS);
}

function rssOf(pid: number): number {
  const [, kiB] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kiB) * 1024;
}

/** Replaces a half-open link. Resolves with true if another acceptor held it than holds the new. */
async function replaced(t: Test, id: string): Promise<boolean> {
  // A device that hears nothing any more and says nothing: no FIN, no reset, no read.
  const vanished = connect({ host: '127.0.0.1', port: server.port, allowHalfOpen: true });
  t.teardown(() => vanished.destroy());
  await once(vanished, 'connect');
  vanished.write(encode(hello(id)));
  await once(vanished, 'readable');
  await waitFor('online', () => subscriber.view.get(id)?.seq === 1, LONG_MS);
  const before = subscriber.view.get(id)?.acceptor;
  const device = await Device.open(server.port, id);
  t.teardown(() => device.close());
  await waitFor('the takeover', () => subscriber.view.get(id)?.seq === 2, LONG_MS);

  t.match(subscriber.view.get(id), { online: true, reason: 'takeover' });
  const isOne = async (name: string) => (await server.metric(name)) === 1;
  await waitFor('one link', () => isOne('owsla_links'), LONG_MS);
  await waitFor('one socket', () => isOne('owsla_sockets'), LONG_MS);
  device.send({ type: TYPE.PING });
  await device.expect(TYPE.PONG);
  device.close();
  await waitFor('its end', () => subscriber.view.get(id)?.online === false, LONG_MS);
  const words = subscriber.heard.filter((event) => event.device === id);
  t.same(
    [...new Set(words.map(({ seq, online }) => `${seq} ${online}`))],
    ['1 true', '2 true', '3 false'],
  );
  return subscriber.view.get(id)?.acceptor !== before;
}

t.test('a link whose device vanished is replaced through another acceptor', async (t) => {
  // Which acceptor takes a link is the kernel's choice.
  let tries = 1;
  while (!(await replaced(t, `vanished-${tries}`))) tries += 1;
  t.comment(`${tries} tries`);
});

t.test(`${DEVICES} connect at once: all told within 10 s`, async (t) => {
  const cpuSeconds = await server.metric('owsla_presence_cpu_seconds_total');
  const began = performance.now();
  for (const device of fleet) device.connect();
  await areWelcome(fleet);
  const welcomeMs = Math.round(performance.now() - began);
  const tookMs = await untilRight();
  await untilSettled();
  const spent = (await server.metric('owsla_presence_cpu_seconds_total')) - cpuSeconds;

  t.comment(`all WELCOMEd after ${welcomeMs} ms, all told ${tookMs} ms later`);
  t.comment(`${Math.round((spent * 1e6) / DEVICES)} CPU-µs of the registrar per change`);
  t.ok(tookMs < 10_000 * SLACK, `${tookMs} ms`);
});

t.test(`the registrar is stopped: ${DEVICES} go and come, WELCOMEd as ever`, async (t) => {
  const registrar = server.childPid('registrar');
  const acceptors = [1, 2].map((at) => server.childPid(`acceptor ${at}`));
  const { length } = subscriber.heard;
  process.kill(registrar, 'SIGSTOP');

  leave(fleet);
  await connectAll(fleet);
  const before = acceptors.map(rssOf);
  for (let round = 0; round < 3; round += 1) {
    leave(fleet);
    await connectAll(fleet);
  }
  const grown = acceptors.map((pid, at) => Math.round((rssOf(pid) - Number(before[at])) / MiB));
  t.comment(`acceptors grown by ${grown.join(' and ')} MiB`);
  t.ok(Math.max(...grown) < 64, 'changes are not kept one by one');
  leave(half);
  t.equal(subscriber.heard.length, length, 'nothing was told meanwhile');

  process.kill(registrar, 'SIGCONT');
  t.comment(`right ${await untilRight()} ms after it goes on`);
  t.comment(`${subscriber.heard.length - length} events for ${8 * DEVICES} changes of links`);
});

t.test('the broker is away while devices come and go: the outbox keeps its bound', async (t) => {
  await untilSettled();
  const { length } = subscriber.heard;
  const changes = async () => {
    const of = (reason: string) =>
      server.metric('owsla_presence_changes_total', `reason="${reason}"`);
    return (await of('connected')) + (await of('takeover'));
  };
  const changed = await changes();
  await broker.kill();
  const end = performance.now() + AWAY_MS;

  let highest = 0;
  for (let round = 0; round < 4 || performance.now() < end; round += 1) {
    leave(fleet);
    const links = async () => (await server.metric('owsla_links')) === 0;
    await waitFor('all gone', links, LONG_MS);
    await connectAll(fleet);
    // All is recorded before the next round.
    const wanted = changed + (round + 1) * DEVICES;
    await waitFor('all recorded', async () => (await changes()) >= wanted, LONG_MS);
    highest = Math.max(highest, await server.metric('owsla_presence_outbox'));
  }
  leave(half);
  await broker.start();

  t.comment(`right ${await untilRight()} ms after the broker is back`);
  await untilSettled();
  const recorded = [...subscriber.view.values()].reduce((sum, { seq }) => sum + seq, 0);
  t.ok(highest > DEVICES, `${highest} events waited`);
  t.ok(highest <= OUTBOX_MAX + BATCH_MAX, `the bound is ${OUTBOX_MAX}, and one batch`);
  const seqs = new Set(subscriber.heard.map(({ device, seq }) => `${device} ${seq}`));
  t.ok(seqs.size < recorded, `words in between were left out: ${seqs.size} of ${recorded}`);
  t.comment(`${subscriber.heard.length - length} events were heard since`);
});

t.test(`everything dies at once with ${DEVICES} online, and is started again`, async (t) => {
  await connectAll(half);
  await untilRight();
  await untilSettled();
  const { length } = subscriber.heard;
  const known = new Map([...subscriber.view].map(([device, { seq }]) => [device, seq]));
  process.kill(-server.pid, 'SIGKILL');
  await server.ended();

  const began = performance.now();
  server = await Server.start(options);
  for (const device of fleet) device.links = [];
  await connectAll(half);
  await untilRight();
  const tookMs = Math.round(performance.now() - began);

  t.comment(`right ${tookMs} ms after the start`);
  t.ok(tookMs < 30_000 * SLACK, `${tookMs} ms`);
  const more = new Map<string, Set<number>>();
  for (const { device, seq } of subscriber.heard.slice(length)) {
    // The broker may still have had a copy of what was known by then.
    if (seq <= Number(known.get(device))) continue;
    more.set(device, (more.get(device) ?? new Set()).add(seq));
  }
  const most = Math.max(...[...more.values()].map(({ size }) => size));
  t.ok(most <= 2, `at most two events per device: ${most}`);
});
