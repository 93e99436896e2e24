/**
 * Slow and hostile devices, all at once, beside a fleet that behaves: each costs its own link and
 * is counted under its reason, and the fleet gets every reply. The fleet is the load tool, which
 * checks each answer. Limits are lowered so that every deadline falls within seconds.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import type { CloseReason } from '../../src/base/errors.ts';
import { names } from '../../src/broker/topology.ts';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import { Backend, echo, forgetTopology } from '../helpers/fakes/backend.ts';
import { Device, event, hello, request } from '../helpers/fakes/device.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { spawnRun } from '../loadgen/spawn.ts';

/** Devices of the fleet, and of each hostile kind. */
const FLEET = 100;
const EACH = 10;
const LIMITS = {
  greetingMs: 3_000,
  keepaliveMinMs: 1_000,
  linkMessagesPerSecond: 100,
  linkMessagesBurst: 200,
  // Not lowered: a busy machine must not be taken for a lost reply.
  requestMs: 60_000,
};
const BIG = Buffer.alloc(60_000);
/** Together more than the kernel's buffers and an outbox hold. */
const BIG_REQUESTS = 100;
const DEAF = 3;
/** Some seconds' worth: what the kernel has of it when its device goes is still read. */
const FLOOD = 600;
const BYTE_MS = 1_000;

const broker = await findBroker();
const prefix = `test-${randomUUID()}`;
const backend = await Backend.connect(broker.url);
const server = await Server.start({ amqp: broker.url, prefix, limits: LIMITS });
t.teardown(async () => {
  await server.stop();
  await backend.close();
  await forgetTopology(broker.url, prefix);
  await broker.stop();
});
await backend.on(names(prefix).requests, '*.door.#', echo);
await backend.on(names(prefix).requests, '*.big', (message, channel) => {
  const { replyTo, correlationId } = message.properties;
  channel.sendToQueue(String(replyTo), BIG, { correlationId: String(correlationId) });
});

/** The reason in the BYE that ends a link. */
async function goodbye(device: Device): Promise<string> {
  const last = (await device.rest()).at(-1);
  return last?.type === TYPE.BYE ? last.reason : `no BYE but ${JSON.stringify(last)}`;
}

const everybody: Device[] = [];

async function connect(): Promise<Device> {
  const device = await Device.connect(server.port);
  everybody.push(device);
  return device;
}

async function open(deviceId: string, options: Partial<Message> = {}): Promise<Device> {
  const device = await connect();
  device.send(hello(deviceId, options));
  await device.expect(TYPE.WELCOME);
  return device;
}

/** HELLO, one byte a second. */
async function drip(deviceId: string): Promise<string> {
  const device = await connect();
  const ended = goodbye(device);
  let isOver = false;
  void ended.then(() => {
    isOver = true;
  });
  for (const byte of encode(hello(deviceId))) {
    if (isOver) break;
    device.sendBytes(Uint8Array.of(byte));
    await pause(BYTE_MS);
  }
  return ended;
}

async function saysNothing(): Promise<string> {
  return goodbye(await connect());
}

/** Silent after WELCOME, and deaf: the FIN that it is sent gets no answer. */
async function fallsSilent(deviceId: string): Promise<void> {
  const device = await open(deviceId, { keepalive: 1 });
  device.socket.pause();
}

async function neverReads(deviceId: string): Promise<void> {
  const device = await open(deviceId);
  device.socket.pause();
  const requests = Array.from({ length: BIG_REQUESTS }, (_, i) => request(i + 1, 'big'));
  device.send(...requests);
}

async function floods(deviceId: string): Promise<Device> {
  const device = await open(deviceId);
  // id 0: nothing in flight holds it back, only its rate.
  const flood = Array.from({ length: FLOOD }, () => event(0, 'flood', 'x'.repeat(1_000)));
  device.send(...flood);
  return device;
}

/** Bytes that are no frame, before or after HELLO. */
async function babbles(bytes: readonly number[], deviceId?: string): Promise<string> {
  const device = deviceId === undefined ? await connect() : await open(deviceId);
  device.sendBytes(Uint8Array.from(bytes));
  return goodbye(device);
}

const GARBAGE: readonly [reason: CloseReason, bytes: readonly number[]][] = [
  ['bad-frame', [0, 0, 0, 0]],
  ['frame-too-long', [0xff, 0xff, 0xff, 0xf0, 1, 2, 3]],
  ['bad-frame', [0, 0, 0, 3, 0xc1, 0xde, 0xad]],
  ['unexpected', [0, 0, 0, 3, 0x92, 0x7f, 0]],
];

function each<T>(attack: (i: number) => Promise<T>, count = EACH): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => attack(i)));
}

function counted(reason: CloseReason, count: number): Promise<void> {
  return server.untilMetric('owsla_closes_total', `reason="${reason}"`, (now) => now === count);
}

const flags = ['--target', `127.0.0.1:${server.port}`, '--devices', String(FLEET), '--quiet'];
const fleet = await spawnRun([
  ...flags,
  ...['--rate', '100', '--duration', '0', '--timeout', '60s'],
  ...['--topic', 'door.badge', '--fail-if', 'links_lost > 0'],
]);
t.teardown(() => fleet.child.kill('SIGKILL'));
const inFromFleet = (count: number) => count > FLEET;
await server.untilMetric('owsla_messages_in_total', 'type="request"', inFromFleet);
const logged = server.log.length;

// All at once.
const begin = performance.now();
const dripping = each((i) => drip(`drip-${i}`));
const nothing = each(saysNothing);
const silent = each((i) => fallsSilent(`silent-${i}`));
const deaf = each((i) => neverReads(`deaf-${i}`), DEAF);
const flooding = each((i) => floods(`flood-${i}`));
const early = Promise.all(GARBAGE.map(([, bytes]) => each(() => babbles(bytes))));
const late = Promise.all(
  GARBAGE.map(([, bytes], kind) => each((i) => babbles(bytes, `babble-${kind}-${i}`))),
);

t.test('a flood is read at its permitted rate', async (t) => {
  await flooding;
  await server.untilMetric('owsla_throttled_total', '', (times) => times >= EACH);
  const read = await server.metric('owsla_messages_in_total', 'type="event"');
  const seconds = (performance.now() - begin) / 1_000;

  t.comment(`${read} of ${EACH * FLOOD} messages were read in ${seconds} s`);
  const { linkMessagesBurst, linkMessagesPerSecond } = LIMITS;
  t.ok(read / EACH <= linkMessagesBurst + linkMessagesPerSecond * seconds + 1);
});

t.test('garbage is answered with its code, before HELLO and after', async (t) => {
  const wanted = GARBAGE.map(([reason]) => Array(EACH).fill(reason));
  t.same(await early, wanted);
  t.same(await late, wanted);

  for (const reason of ['bad-frame', 'frame-too-long', 'unexpected'] as const) {
    const kinds = GARBAGE.filter(([kind]) => kind === reason).length;
    await counted(reason, 2 * kinds * EACH);
  }
});

t.test('a device that never reads is closed with outbox-full', async () => {
  await deaf;
  await counted('outbox-full', DEAF);
});

t.test('a device that falls silent is closed with keepalive-timeout', async () => {
  await silent;
  await counted('keepalive-timeout', EACH);
});

t.test('no HELLO, or one byte of it a second, ends with greeting-timeout', async (t) => {
  t.same(await dripping, Array(EACH).fill('greeting-timeout'));
  t.same(await nothing, Array(EACH).fill('greeting-timeout'));
  await counted('greeting-timeout', 2 * EACH);
});

t.test('a flood ends no link', async (t) => {
  const ended = (await flooding).filter(({ waiting }) => waiting > 0);
  t.equal(ended.length, 0);
});

t.test('each cost its own link only: the fleet got every reply', async (t) => {
  for (const device of everybody) device.close();
  for (const gauge of ['owsla_greetings', 'owsla_lingering', 'owsla_paused_links']) {
    await server.untilMetric(gauge, '', (value) => value === 0);
  }
  await server.untilMetric('owsla_sockets', '', (sockets) => sockets === FLEET);
  fleet.interrupt();
  const { exitCode, report, stdout } = await fleet.ended;

  t.comment(`round trip of the fleet: ${JSON.stringify(report?.times.request)}`);
  t.equal(exitCode, 0, stdout);
  t.equal(report?.links.openAtEnd, FLEET, 'not one link was lost');
  const { requests = 0, replies = 0 } = report?.counts ?? {};
  t.equal(replies + (report?.unansweredAtEnd ?? 0), requests, 'or is waiting for it at the end');
  const strange = server.log
    .slice(logged)
    .filter(({ msg }) => !/devices? refused$/.test(String(msg)));
  t.same(strange, [], 'and the log has no other line of it than who was refused');
});
