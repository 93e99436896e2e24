/**
 * Acceptors are killed at random under load. Within the restart intensity nobody but their own
 * links notices; beyond it the supervisor gives up with one sentence. `make soak` takes 30 s.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { names } from '../../src/broker/topology.ts';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { Backend, echo, forgetTopology } from '../helpers/fakes/backend.ts';
import { Device, END, hello, request } from '../helpers/fakes/device.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { type LogLine, Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';

const ACCEPTORS = 4;
const DEVICES = 400;
const KILL_EVERY_MS = 500;
const CONNECT_EVERY_MS = 50;
const IS_SOAK = process.env.OWSLA_SOAK !== undefined;
const DURATION_MS = IS_SOAK ? 30_000 : 8_000;
/** The promise is 3 s and one retry; the cut shares its machine with three other tests. */
const CONNECT_DEADLINE_MS = IS_SOAK ? 3_000 : 15_000;
const RETRIES_MAX = IS_SOAK ? 1 : 5;

const broker = await findBroker();
const prefix = `test-${randomUUID()}`;
const backend = await Backend.connect(broker.url);
t.teardown(async () => {
  await backend.close();
  await forgetTopology(broker.url, prefix);
  await broker.stop();
});

/** The incarnation that holds a device's link, told by where its replies go. */
const holder = new Map<string, string>();

interface Held {
  readonly deviceId: string;
  readonly device: Device;
  readonly incarnation: string;
}

/** Connect, be WELCOMEd and learn who holds the link. A reset in between rejects. */
async function hold(port: number, deviceId: string): Promise<Held> {
  const device = await Device.connect(port);
  device.send(hello(deviceId), request(1));
  for (const type of [TYPE.WELCOME, TYPE.REPLY]) await take(device, type);
  return { deviceId, device, incarnation: holder.get(deviceId) ?? '' };
}

async function take(device: Device, type: Message['type']): Promise<void> {
  const answer = await device.next();
  if (answer === END || answer.type !== type) throw new Error('the link was reset');
}

/** Connect and be WELCOMEd. */
async function greet(port: number, deviceId: string): Promise<Device> {
  const device = await Device.connect(port);
  device.send(hello(deviceId));
  await take(device, TYPE.WELCOME);
  return device;
}

/** What a device does: try, and when the connection is reset try again, at once. */
async function greetAgain(port: number, deviceId: string, onRetry: () => void): Promise<Device> {
  for (let left = RETRIES_MAX; left > 0; left -= 1) {
    try {
      return await greet(port, deviceId);
    } catch {
      onRetry();
    }
  }
  return greet(port, deviceId);
}

/** The acceptors that have started and, as far as the log knows, not ended. */
function readyAcceptors(server: Server): LogLine[] {
  return Array.from({ length: ACCEPTORS }, (_, i) => `acceptor ${i + 1}`).flatMap((child) => {
    const lives = server.log.filter((line) => line.child === child);
    const last = lives.findLast(({ msg }) => msg === 'child ready' || msg === 'child ended');
    return last?.msg === 'child ready' ? [last] : [];
  });
}

function killOneOf(acceptors: readonly LogLine[]): string | undefined {
  const victim = acceptors[randomInt(Math.max(1, acceptors.length))];
  if (victim === undefined) return undefined; // Their successors are still starting.
  try {
    process.kill(Number(victim.childPid), 'SIGKILL');
  } catch {
    return undefined; // Dead already; its end is not logged yet.
  }
  return String(victim.incarnation);
}

t.test('kill -9 of a random acceptor every 500 ms costs its own links only', async (t) => {
  const limits = { restartsMax: 1_000, connectsPerSecond: 100_000, connectBurst: 10_000 };
  const server = await Server.start({ amqp: broker.url, prefix, acceptors: ACCEPTORS, limits });
  t.teardown(() => server.stop());
  await backend.on(names(prefix).requests, '#', (message, channel) => {
    const { device } = message.properties.headers ?? {};
    holder.set(String(device), String(message.properties.replyTo).replace(/^.*\.acceptor\./, ''));
    echo(message, channel);
  });
  const old = await Promise.all(
    Array.from({ length: DEVICES }, (_, i) => hold(server.port, `old-${i}`)),
  );
  const killed = new Set<string>();
  const ended = new Set<Held>();
  for (const held of old) void held.device.rest().then(() => ended.add(held));

  /** Milliseconds until each new link was up, or why it never was. */
  const connects: Promise<number | string>[] = [];
  let retries = 0;
  let kills = 0;
  const begin = performance.now();
  for (let turn = 0; performance.now() - begin < DURATION_MS; turn += 1) {
    if (performance.now() - begin >= kills * KILL_EVERY_MS) {
      const alive = readyAcceptors(server).filter((line) => !killed.has(String(line.incarnation)));
      // The last is spared: a machine too busy to start others in time says nothing about links.
      const incarnation = alive.length > 1 ? killOneOf(alive) : undefined;
      kills += 1;
      if (incarnation !== undefined) killed.add(incarnation);
    }
    const start = performance.now();
    const connecting = greetAgain(server.port, `new-${turn}`, () => {
      retries += 1;
    });
    const outcome = connecting.then((device) => {
      device.close();
      return performance.now() - start;
    });
    connects.push(outcome.catch(String));
    await pause(CONNECT_EVERY_MS);
  }
  const times = await Promise.all(connects);
  const slow = times.filter((time) => typeof time === 'string' || time > CONNECT_DEADLINE_MS);
  const innocent = [...ended].filter(({ incarnation }) => !killed.has(incarnation));

  t.comment(`${killed.size} killed, ${times.length} new links, ${retries} retried after a reset`);
  t.ok(killed.size >= 3);
  t.same(slow, [], `each new link was up within ${CONNECT_DEADLINE_MS} ms`);
  t.equal(innocent.length, 0, 'no link of another acceptor dropped');
  const lost = old.filter(({ incarnation }) => killed.has(incarnation)).length;
  await waitFor('the killed ones’ links to end', () => ended.size === lost);
  await waitFor('ready health', () => server.isReady());
});

t.test('beyond the restart intensity the supervisor gives up, and nothing is left', async (t) => {
  const limits = { restartsMax: 3 };
  const server = await Server.start({ amqp: broker.url, prefix, acceptors: ACCEPTORS, limits });
  t.teardown(() => server.stop());
  const ended = server.ended();
  let isOver = false;
  void ended.then(() => {
    isOver = true;
  });
  await waitFor('the supervisor to give up', () => {
    if (!isOver) killOneOf(readyAcceptors(server));
    return isOver;
  });
  const pids = server.log.map(({ childPid }) => Number(childPid)).filter((pid) => pid > 0);

  t.ok(Number(await ended) > 0, 'the exit code is not 0');
  t.equal(server.errors.length, 1, 'with one last sentence');
  t.match(server.errors[0], /gave up: acceptor \d ended again after 3 restarts within 10 s/);
  for (const pid of new Set(pids)) t.throws(() => process.kill(pid, 0), `child ${pid} is gone`);
});
