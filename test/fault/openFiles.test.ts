/**
 * A whole node runs out of open files: links that are open keep talking through broker and
 * backend, who does not fit is refused, and accepting resumes by itself.
 *
 * Within its limit of open files an acceptor refuses, and tells why. When files run out all the
 * same (others took them, or prlimit lowered the limit of a running process), accept(2) fails with
 * EMFILE, and libuv keeps that from Node: with a spare file, given up for the moment, it accepts
 * all who wait and closes them unseen (uv__emfile_trick in its src/unix/stream.c). They get no BYE,
 * and no figure of ours counts them. With no spare file it leaves them in the accept queue and asks
 * again in every turn of the loop, which costs most of a core until a file is free.
 */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { FILES_RESERVED, LIMIT_SPECS } from '../../src/base/limits.ts';
import { names } from '../../src/broker/topology.ts';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { Backend, echo, forgetTopology } from '../helpers/fakes/backend.ts';
import { Device, END, hello, request } from '../helpers/fakes/device.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Server, type ServerOptions } from '../helpers/processes/server.ts';

const broker = await findBroker();
const backend = await Backend.connect(broker.url);
t.teardown(async () => {
  await backend.close();
  await broker.stop();
});

async function start(t: Test, options: Partial<ServerOptions>): Promise<Server> {
  const prefix = `test-${randomUUID()}`;
  const server = await Server.start({ amqp: broker.url, prefix, ...options });
  t.teardown(async () => {
    await server.stop();
    await forgetTopology(broker.url, prefix);
  });
  await backend.on(names(prefix).requests, '#', echo);
  return server;
}

function filesOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/fd`).map(Number);
}

/** The lowest number without a file: the next file gets it. */
function firstFreeOf(pid: number): number {
  // Two looks: one may meet a file that is open for a moment only, such as /proc/self/stat.
  const once = filesOf(pid);
  const again = filesOf(pid);
  const isTaken = (number: number) => once.includes(number) && again.includes(number);
  let number = 0;
  while (isTaken(number)) number += 1;
  return number;
}

/** The soft limit of open files, as prlimit takes it. */
function openFilesOf(pid: number): string {
  const limits = readFileSync(`/proc/${pid}/limits`, 'utf8');
  return /^Max open files +(\w+)/m.exec(limits)?.[1] ?? '';
}

/** Files with a number from `limit` on stay open; none can be added. */
function limitFiles(pid: number, limit: number | string): void {
  execFileSync('prlimit', ['--pid', String(pid), `--nofile=${limit}:`]);
}

interface Attempt {
  readonly device: Device | undefined;
  /** What came first: WELCOME, BYE, or the end of a link that was reset or closed unseen. */
  readonly item: Message | typeof END;
}

async function attempt(port: number, deviceId: string): Promise<Attempt> {
  try {
    const device = await Device.connect(port);
    device.send(hello(deviceId));
    return { device, item: await device.next() };
  } catch {
    return { device: undefined, item: END };
  }
}

function storm(port: number, name: string, count: number): Promise<Attempt[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => attempt(port, `${name}-${i}`)));
}

function welcomedOf(attempts: readonly Attempt[]): Device[] {
  return attempts.flatMap(({ device, item }) =>
    device !== undefined && item !== END && item.type === TYPE.WELCOME ? [device] : [],
  );
}

/** Devices that come one after the other to a full node. */
const LATE = 20;

let rounds = 0;

/** Each link sends a REQUEST, and each gets its own answer. */
async function talk(t: Test, links: readonly Device[]): Promise<void> {
  rounds += 1;
  for (const [i, link] of links.entries()) link.send(request(rounds, 'door.badge', `badge-${i}`));
  const replies = await Promise.all(links.map((link) => link.expect(TYPE.REPLY)));
  const right = replies.filter(
    ({ id, status, payload }, i) =>
      id === rounds && status === 0 && payload.toString() === `badge-${i}`,
  );
  t.equal(right.length, links.length, `round ${rounds}: all ${links.length} links were answered`);
}

t.test('open files: a node filled beyond its limit', async (t) => {
  const openFiles = FILES_RESERVED + 64;
  const room = 2 * 64;
  const refusingMax = 8;
  // Refused ones that do not answer our FIN stay until the test lets them go.
  const server = await start(t, { openFiles, limits: { refusingMax, lingerMs: 60_000 } });
  const pids = ['acceptor 1', 'acceptor 2'].map((child) => server.childPid(child));
  const areFilesLeft = () => pids.every((pid) => filesOf(pid).length < openFiles);
  /** Since the start: a figure that was read now may be of a moment ago. */
  const untilRefused = (count: number) =>
    server.untilMetric('owsla_closes_total', 'reason="server-full"', (full) => full === count);
  let links: Device[] = [];
  const mute: Device[] = [];

  await t.test('each acceptor takes the links that fit, and no other', async (t) => {
    const attempts = await storm(server.port, 'storm', 3 * room);

    links = welcomedOf(attempts);
    t.equal(links.length, room);
    t.equal(await server.metric('owsla_links_max'), room);
    t.ok(areFilesLeft(), 'below the limit of open files');
    const others = attempts.filter(({ item }) => item === END || item.type === TYPE.BYE);
    t.equal(others.length, 2 * room, 'each of the others is told or reset');
    await talk(t, links);
  });

  await t.test('who does not fit is told server-full, and when to come back', async (t) => {
    for (let i = 0; i < LATE; i += 1) {
      const { device, item } = await attempt(server.port, `late-${i}`);
      t.match(item, { type: TYPE.BYE, reason: 'server-full', retryAfter: Number });
      const { retryAfter = -1 } = item as Extract<Message, { type: typeof TYPE.BYE }>;
      t.ok(retryAfter >= 0 && retryAfter <= LIMIT_SPECS.serverFullRetryMs.value);
      device?.close();
      await server.untilMetric('owsla_lingering', '', (lingering) => lingering === 0);
    }
    await talk(t, links);
  });

  await t.test('more than refusingMax who will not go are reset, and hold no file', async (t) => {
    await untilRefused(2 * room + LATE);
    for (let i = 0; i < 100; i += 1) {
      const device = await Device.connect(server.port);
      // It reads neither the BYE nor the FIN.
      device.socket.pause();
      mute.push(device);
    }
    await untilRefused(2 * room + LATE + 100);

    t.equal(await server.metric('owsla_lingering'), 2 * refusingMax);
    t.ok(areFilesLeft(), 'below the limit of open files');
    await talk(t, links);
  });

  await t.test('when links leave, accepting resumes by itself', async (t) => {
    for (const device of [...mute, ...links.splice(0, room / 2)]) device.close();
    await server.untilMetric('owsla_sockets', '', (sockets) => sockets === room / 2);

    const attempts = await storm(server.port, 'next', 10);

    const next = welcomedOf(attempts);
    t.equal(next.length, attempts.length);
    await talk(t, [...links, ...next]);
    t.same(server.errors, []);
    // Whether it was full for long enough for an alarm is the machine's choice.
    const complaints = server.complaints.filter(({ alarm }) => alarm !== 'acceptor-full');
    t.same(complaints, [], 'and the log has nothing to complain of but who was refused');
    for (const device of [...links, ...next]) device.close();
  });
});

t.test('open files: none left in a running acceptor, accept fails with EMFILE', async (t) => {
  const server = await start(t, { acceptors: 1 });
  const pid = server.childPid('acceptor 1');
  const usual = openFilesOf(pid);
  let links = welcomedOf(await storm(server.port, 'first', 60));
  const accepts = links.length;
  await server.untilMetric('owsla_accepts_total', '', (count) => count === accepts);
  /** A report that was made since now has come: the acceptor still does everything it should. */
  const reported = () => {
    const sent = 'type="request"';
    return server.untilMetric('owsla_messages_in_total', sent, (count) => count === total);
  };
  let total = 0;
  const exchange = async (t: Test) => {
    await talk(t, links);
    total += links.length;
    await reported();
  };

  await t.test('links that are open keep talking; newcomers are closed at once', async (t) => {
    limitFiles(pid, firstFreeOf(pid));
    const attempts = await storm(server.port, 'unseen', 100);

    t.equal(attempts.filter(({ item }) => item === END).length, attempts.length);
    for (let round = 0; round < 5; round += 1) await exchange(t);
    t.equal(await server.metric('owsla_accepts_total'), accepts, 'libuv let us see none of them');
    t.equal(await server.isReady(), true);
  });

  await t.test('when links leave, accepting resumes by itself', async (t) => {
    for (const device of links.splice(0, 20)) device.close();
    await server.untilMetric('owsla_sockets', '', (sockets) => sockets === 40);
    const next = welcomedOf(await storm(server.port, 'next', 20));

    t.equal(next.length, 20);
    links = [...links, ...next];
    await exchange(t);
  });

  await t.test('with no spare file newcomers wait, and get in when there are some', async (t) => {
    // Below the number of libuv's spare file, so that giving it up does not help.
    limitFiles(pid, 3);
    const waiting = storm(server.port, 'waiting', 20);
    for (let round = 0; round < 5; round += 1) await exchange(t);
    t.equal(await server.metric('owsla_accepts_total'), accepts + 20, 'none is accepted');
    limitFiles(pid, usual);
    const late = welcomedOf(await waiting);

    t.equal(late.length, 20);
    links = [...links, ...late];
    await exchange(t);
    t.equal(server.childPid('acceptor 1'), pid, 'and it is still the same process');
    for (const device of links) device.close();
  });
});
