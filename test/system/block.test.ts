/** Devices that are kept out of a real node: at once, over every restart, and let in again. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import t, { type Test } from 'tap';
import { makeToken, newGroupKey, readGroupKeys } from '../../src/base/deviceKeys.ts';
import { SqliteFile } from '../../src/registrar/store/sqliteFile.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Commander } from '../helpers/fakes/commander.ts';
import { Device, END, hello } from '../helpers/fakes/device.ts';
import { Subscriber } from '../helpers/fakes/subscriber.ts';
import { Authority } from '../helpers/processes/authority.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { type Printed, runOwsla } from '../helpers/processes/cli.ts';
import {
  askOnce,
  type NodeOptions,
  type StartedNode,
  startNode,
} from '../helpers/processes/node.ts';
import { serve } from '../helpers/processes/serve.ts';
import { waitFor } from '../helpers/waitFor.ts';

/** What the contract promises. */
const END_MS = 1_000;

const broker = await findBroker();
t.teardown(() => broker.stop());

function folder(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'ot-'));
  t.teardown(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

const start = (t: Test, options: NodeOptions = {}): Promise<StartedNode> =>
  startNode(t, { broker, ...options });

async function subscribe(t: Test, { prefix }: StartedNode): Promise<Subscriber> {
  const subscriber = await Subscriber.start(broker.url, prefix);
  t.teardown(() => subscriber.close());
  return subscriber;
}

/** Ask as the command does, without the start of a process. */
function ask({ runDir }: StartedNode, kind: string, device?: string): Promise<unknown> {
  const question = { device, note: '', after: '' };
  return askOnce(runDir, kind, question);
}

function owsla(runDir: string, command: string, ...args: string[]): Promise<Printed> {
  return runOwsla([command, '--run-dir', runDir, ...args]);
}

/** What a device hears first, or that its link ended without a word. */
async function heardFirst(device: Device): Promise<string> {
  const first = await device.next();
  device.close();
  if (first === END) return END;
  return first.type === TYPE.BYE ? first.reason : `type ${first.type}`;
}

const WELCOMED = `type ${TYPE.WELCOME}`;

/** The same of some links, which most likely reach every acceptor: each answer once. */
async function tries(port: number, deviceId: string): Promise<string[]> {
  const heard = new Set<string>();
  for (let at = 0; at < 6; at += 1) {
    const device = await Device.connect(port);
    device.send(hello(deviceId));
    heard.add(await heardFirst(device));
  }
  return [...heard];
}

t.test('owsla block, blocked, unblock: what they do, print, log, and their codes', async (t) => {
  const node = await start(t);
  const { server, runDir } = node;
  const subscriber = await subscribe(t, node);
  const device = await Device.open(server.port, '-17');
  const other = await Device.open(server.port, 'other');

  const done = await owsla(runDir, 'block', '--note', 'stolen\nin Pune', '--', '-17');
  t.same([done.code, done.lines], [0, ['-17 is blocked']], done.stderr);
  t.match(await device.expect(TYPE.BYE), { reason: 'blocked', retryAfter: undefined });
  t.equal(await device.next(), END);
  t.same(await tries(server.port, '-17'), ['blocked']);

  const again = await owsla(runDir, 'block', '--', '-17');
  t.match(again, { code: 3, lines: [/^already blocked: -17 +\d{4}-\S+Z {2}stolen\?in Pune$/] });
  t.match(await owsla(runDir, 'blocked'), { code: 0, lines: [/^-17 +\S+Z {2}stolen\?in Pune$/] });
  const [json = ''] = (await owsla(runDir, 'blocked', '--json')).lines;
  t.match(JSON.parse(json), { device: '-17', since: Number, note: 'stolen\nin Pune' });

  t.match(await owsla(runDir, 'unblock', '--', '-17'), { code: 0, lines: ['-17 is unblocked'] });
  t.match(await owsla(runDir, 'unblock', 'door'), { code: 3, lines: ['door was not blocked'] });
  t.match(await owsla(runDir, 'blocked'), { code: 0, lines: [] });
  t.same(await tries(server.port, '-17'), [WELCOMED]);

  t.match(
    server.log.filter(({ msg }) => msg === 'audit'),
    [
      { role: 'registrar', who: 'control.sock', what: 'block', device: '-17', note: /^stolen/ },
      { role: 'registrar', who: 'control.sock', what: 'unblock', device: '-17' },
    ],
  );
  const reasons = () =>
    subscriber.heard.filter((one) => one.device === '-17').map((one) => one.reason);
  await waitFor('its return', () => reasons().length >= 3);
  t.same(reasons().slice(0, 3), ['connected', 'blocked', 'connected'], 'no try was a presence');
  t.ok(subscriber.heard.every((one) => one.device !== 'other' || one.online));
  other.close();
});

t.test('what owsla block cannot do is one sentence, and nothing is blocked', async (t) => {
  const node = await start(t, { limits: { blockedMax: 1 } });
  const { runDir } = node;
  await ask(node, 'block', 'first');

  for (const [args, code, sentence] of [
    [['second'], 69, /^owsla: the block list is full: it has blockedMax \(1\) devices\n$/],
    [['not a device'], 64, /a device id is 1 to 64/],
    [['a', '--note', 'x'.repeat(201)], 64, /--note takes at most 200 characters/],
  ] as const) {
    t.match(await owsla(runDir, 'block', ...args), { code, stderr: sentence, lines: [] });
  }
  for (const question of [null, 7, {}, { device: 'a b' }, { device: 'a', note: 7 }]) {
    await t.rejects(askOnce(runDir, 'block', question), { exitCode: 69, message: / refuses: / });
  }
  t.match(await ask(node, 'blocked'), { rows: [{ device: 'first' }], isMore: false });
  t.match(await owsla(join(runDir, 'not'), 'block', 'a'), {
    code: 69,
    stderr: /no node answers at/,
  });
});

t.test('a device that reads nothing is out as quickly, its outbox full', async (t) => {
  const node = await start(t, { acceptors: 1, limits: { stallMs: 600_000 } });
  const { server, prefix } = node;
  const subscriber = await subscribe(t, node);
  const commander = await Commander.connect(broker.url, prefix);
  t.teardown(() => commander.close());
  const device = await Device.open(server.port, 'door-17');
  device.socket.pause();
  const payload = Buffer.alloc(60_000);
  await waitFor('a full outbox', async () => {
    await commander.send('door-17', { payload });
    return [...commander.told.values()].flat().some(({ reason }) => reason === 'busy');
  });

  const since = performance.now();
  await ask(node, 'block', 'door-17');
  await waitFor('its end', () => subscriber.heard.some(({ reason }) => reason === 'blocked'));
  const tookMs = performance.now() - since;

  t.ok(tookMs < END_MS, `${tookMs} ms`);
  await server.untilMetric('owsla_sockets', '', (sockets) => sockets === 0);
  t.same(await tries(server.port, 'door-17'), ['blocked']);
  device.close();
});

t.test('what proves who it is lets no blocked device in: token, certificate', async (t) => {
  const authority = new Authority();
  t.teardown(() => authority.remove());
  const served = authority.issue('localhost', { san: 'DNS:localhost' });
  const { cert, key } = authority.issue('door-1', { san: 'URI:urn:device:door-1' });
  const keysFile = authority.at('keys.yaml');
  writeFileSync(keysFile, `g1: ${newGroupKey()}\n`, { mode: 0o600 });
  const groupKey = readGroupKeys(keysFile).get('g1');
  if (groupKey === undefined) return void t.fail();
  const config = authority.at('owsla.yaml');
  const tls = { cert: served.certFile, key: served.keyFile, 'client-ca': authority.caFile };
  const listeners = [
    { name: 'both', port: 0, auth: ['cert', 'key'], tls: { ...tls, 'client-cert': 'request' } },
  ];
  writeFileSync(config, JSON.stringify({ keys: keysFile, listeners }));
  const node = await start(t, { flags: ['--config', config] });
  const port = node.server.portOf('both');
  const says = async (deviceId: string, options: ConnectionOptions, token?: string) => {
    const { ca } = authority;
    const socket = connectTls({ host: '127.0.0.1', servername: 'localhost', port, ca, ...options });
    const device = new Device(socket);
    device.send(hello(deviceId, { token }));
    return heardFirst(device);
  };
  const token = makeToken(groupKey, 'g1', 'door-1', 0);

  t.same(
    [await says('door-1', { cert, key }), await says('door-1', {}, token)],
    [WELCOMED, WELCOMED],
  );
  await ask(node, 'block', 'door-1');
  t.same(
    [await says('door-1', { cert, key }), await says('door-1', {}, token)],
    ['blocked', 'blocked'],
  );
  t.not(await says('door-1', {}), 'blocked', 'nobody else is told who is blocked');
});

t.test('over a restart of the node, of the registrar, of an acceptor', async (t) => {
  const data = ['--data-dir', folder(t)];
  const first = await start(t, { flags: data });
  await ask(first, 'block', 'door-17');
  await first.server.stop();

  const node = await start(t, { flags: data, prefix: first.prefix });
  const { server } = node;
  t.same(await tries(server.port, 'door-17'), ['blocked']);

  const lives = (child: string) =>
    server.log.filter((line) => line.child === child && line.msg === 'child ready').length;
  process.kill(server.childPid('registrar'), 'SIGKILL');
  t.same(await tries(server.port, 'door-17'), ['blocked'], 'the last list counts');
  await waitFor('another registrar', () => lives('registrar') === 2);
  await waitFor('an answer', () => ask(node, 'block', 'door-18').then(Boolean, () => false));
  const isOut = async () => (await tries(server.port, 'door-18')).join() === 'blocked';
  await waitFor('all acceptors to know', isOut, END_MS);

  for (const child of ['acceptor 1', 'acceptor 2']) {
    process.kill(server.childPid(child), 'SIGKILL');
    await waitFor('its successor', () => lives(child) === 2);
  }
  t.same(await tries(server.port, 'door-17'), ['blocked']);
  t.same(await tries(server.port, 'door-18'), ['blocked']);
  t.same(await tries(server.port, 'door-19'), [WELCOMED]);

  await ask(node, 'unblock', 'door-17');
  t.same(await tries(server.port, 'door-17'), [WELCOMED]);
});

t.test('who is late is said: an acceptor without a list, or stopped; the registrar', async (t) => {
  const node = await start(t, { limits: { childSilenceMs: 600_000 } });
  const { server } = node;
  await ask(node, 'block', 'door-17');
  const registrar = server.childPid('registrar');
  process.kill(registrar, 'SIGSTOP');

  process.kill(server.childPid('acceptor 1'), 'SIGKILL');
  const why = async () => {
    const { reasons } = JSON.parse(await server.page('/health/ready'));
    return reasons.some((one: { reason: string }) => one.reason === 'no block list yet');
  };
  await waitFor('its word', why);
  t.same(await tries(server.port, 'door-17'), ['blocked'], 'the other one has it');
  t.same(await tries(server.port, 'door-18'), [WELCOMED]);
  const silent = / refuses: the registrar does not answer: no answer within 1000 ms$/;
  await t.rejects(ask(node, 'block', 'door-19'), { exitCode: 69, message: silent });

  process.kill(registrar, 'SIGCONT');
  await waitFor('all of it', () => server.isReady());
  t.same(await tries(server.port, 'door-17'), ['blocked']);

  const acceptor = server.childPid('acceptor 2');
  process.kill(acceptor, 'SIGSTOP');
  let told: Printed | undefined;
  await waitFor('an answer in time', async () => {
    told = await owsla(node.runDir, 'block', 'door-20');
    return told.code !== 69;
  });
  process.kill(acceptor, 'SIGCONT');
  t.equal(told?.lines.at(-1), 'not yet known to acceptor 2, which hears of it once it can');
  t.notOk(server.log.some(({ msg }) => msg === 'killing child'));
});

t.test('without a broker, and without --data-dir, devices are blocked too', async (t) => {
  const runDir = join(folder(t), 'run');
  const flags = ['--wait-for-broker', '--run-dir', runDir];
  const cli = serve(t, 'amqp://127.0.0.1:1', flags);
  const { port } = await cli.said('ready');
  const device = await Device.open(Number(port), 'door-17');

  t.match(await owsla(runDir, 'block', 'door-17'), { code: 0 });
  t.match(await device.expect(TYPE.BYE), { reason: 'blocked' });
  t.same(await tries(Number(port), 'door-17'), ['blocked']);
});

/** A data folder in which `count` devices are blocked. */
function blockedFolder(t: Test, count: number): string {
  const made = folder(t);
  new SqliteFile(made, Date.now()).close();
  const database = new DatabaseSync(join(made, 'presence.db'));
  database.exec('BEGIN');
  const add = database.prepare('INSERT INTO blocked (device, since, note) VALUES (?, ?, ?)');
  for (let at = 0; at < count; at += 1) add.run(`stolen-${at}`, Date.now(), 'of the lost truck');
  database.exec('COMMIT');
  database.close();
  return made;
}

t.test('a list of 100,000 devices is printed whole, and slows no WELCOME', async (t) => {
  const many = await start(t, { flags: ['--data-dir', blockedFolder(t, 100_000)] });
  const none = await start(t);
  const tookMs = async ({ server }: StartedNode, at: number) => {
    const since = performance.now();
    const device = await Device.open(server.port, `door-${at}`);
    device.close();
    return performance.now() - since;
  };
  const median = (times: number[]) => times.toSorted((a, b) => a - b)[times.length / 2] ?? 0;
  const times: [number[], number[]] = [[], []];
  for (let at = 0; at < 100; at += 1) {
    times[0].push(await tookMs(many, at));
    times[1].push(await tookMs(none, at));
  }
  const [ofMany, ofNone] = [median(times[0]), median(times[1])];
  t.comment(`WELCOME, median: ${ofMany.toFixed(2)} ms, without a list ${ofNone.toFixed(2)} ms`);
  t.ok(ofMany < 2 * ofNone + 1, `${ofMany} and ${ofNone} ms`);

  for (const at of [0, 5_000, 99_999]) {
    t.same(await tries(many.server.port, `stolen-${at}`), ['blocked']);
  }
  const { lines, stderr } = await owsla(many.runDir, 'blocked');
  t.equal(new Set(lines).size, 100_000, stderr);
  const refused = owsla(many.runDir, 'block', 'one-more');
  t.match(await refused, { code: 69, stderr: /the block list is full/ });
});
