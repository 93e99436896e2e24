/**
 * Presence as an operator meets it: whose the store and the prefix are, `owsla presence`, restore,
 * and traces. One node for all of it, as starts are what takes time: the order matters.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import t, { type Test } from 'tap';
import { EXIT } from '../../src/base/errors.ts';
import { TYPE } from '../../src/wire/message.ts';
import { readTrace } from '../../tla/judge.ts';
import { Device } from '../helpers/fakes/device.ts';
import { Subscriber } from '../helpers/fakes/subscriber.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Cli } from '../helpers/processes/cli.ts';
import {
  endBroker,
  figure,
  isReady,
  refuses,
  serve,
  testPrefix,
} from '../helpers/processes/serve.ts';
import { waitFor } from '../helpers/waitFor.ts';

/** Generous: it only tells a hang from a wait. */
const LONG_MS = 60_000;
const DAMP_MS = 1_000;
const broker = await findBroker();
t.teardown(() => endBroker(broker));

function newFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'owsla-data-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function connect(t: Test, cli: Cli, deviceId: string): Promise<Device> {
  const device = await Device.open(Number((await cli.said('ready')).port), deviceId);
  t.teardown(() => device.close());
  return device;
}

const folder = newFolder(t);
const flags = ['--data-dir', folder];
const damped = ['--set', 'takeoversMax=2', '--set', `takeoverDampMs=${DAMP_MS}ms`];
const first = serve(t, broker.url, [...flags, '--acceptors', '1', ...damped]);
await isReady(first);
const subscriber = await Subscriber.start(broker.url, testPrefix);
t.teardown(() => subscriber.close());
const isOnline = (deviceId: string) => () => subscriber.online().includes(deviceId);

t.test('a second node on one data folder: one sentence, exit 78; the first goes on', async (t) => {
  const second = serve(t, broker.url, [...flags, '--prefix', 'another']);

  await refuses(t, second, EXIT.config, /the data folder .* is in use by another running node/);
  await connect(t, first, 'door-1');
  await waitFor('door-1', isOnline('door-1'), LONG_MS);
  const restore = new Cli(['presence', 'restore', ...flags]);
  t.equal((await restore.exited).code, EXIT.config);
  t.match(restore.stderr, /is in use by another running node/);
});

t.test('a second node with one prefix ends with one sentence; the first tells on', async (t) => {
  const second = serve(t, broker.url, ['--acceptors', '1', '--set', 'presenceClaimMs=500ms']);
  const unkept = await second.said('presence is not stored on disk');
  t.match(unkept, { level: 'warn', reason: /without --data-dir/ });
  await connect(t, second, 'door-2').catch(() => {});

  t.same(await second.exited, { code: EXIT.config, signal: null });
  t.match(
    second.stderr,
    /another node uses this prefix and holds the queue .*\.claim: a prefix is for one node/,
  );
  await connect(t, first, 'door-3');
  await waitFor('door-3', isOnline('door-3'), LONG_MS);
  t.notOk(subscriber.view.has('door-2'), 'the second told nothing');
});

t.test('a store of a newer Owsla: one sentence, exit 78', async (t) => {
  const folder = newFolder(t);
  const newer = new DatabaseSync(join(folder, 'presence.db'));
  newer.exec('PRAGMA user_version = 1000');
  newer.close();

  const cli = serve(t, broker.url, ['--data-dir', folder]);

  await refuses(t, cli, EXIT.config, /presence\.db was written by a newer Owsla \(schema 1000/);
});

t.test('owsla presence prints events live, as JSON lines', async (t) => {
  const watch = new Cli(['presence', '--amqp', broker.url, '--prefix', testPrefix]);
  t.teardown(() => watch.destroy());
  // It has no line of its own to say that it listens: devices come until it shows one.
  let devices = 0;
  const comeAndGo = async () => {
    devices += 1;
    (await connect(t, first, `watched-${devices}`)).close();
    return watch.lines.length > 0;
  };
  await waitFor('a line', comeAndGo, LONG_MS);

  const event = { device: /^watched-\d+$/, epoch: Number, connection: String, acceptor: String };
  t.match(await watch.line(({ online }) => online === false), {
    ...event,
    seq: 2,
    reason: 'peer-fin',
  });
  t.notMatch(watch.stderr, /\S/);
});

t.test('owsla presence: what it cannot do is one sentence', async (t) => {
  const cases: [string[], number, RegExp][] = [
    [
      ['--amqp', broker.url, '--prefix', 'nobody'],
      EXIT.unavailable,
      /no exchange 'nobody.presence'/,
    ],
    [['--amqp', 'amqp://127.0.0.1:1'], EXIT.unavailable, /cannot reach the broker 127.0.0.1:1/],
    [['restore'], EXIT.usage, /give the folder of the store: --data-dir/],
    [['restore', '--data-dir', '/nonexistent'], EXIT.config, /no presence store in \/nonexistent/],
  ];
  for (const [args, code, sentence] of cases) {
    const cli = new Cli(['presence', ...args]);
    t.same(await cli.exited, { code, signal: null }, args.join(' '));
    t.match(cli.stderr, sentence);
    t.match(cli.stderr, /^owsla: [^\n]+\n$/, 'exactly one line');
  }
});

t.test(
  'boxes that fight for one id: takeovers are spaced and reported, the newest wins',
  async (t) => {
    const began = performance.now();
    const links: Device[] = [];
    for (let at = 0; at < 20; at += 1) links.push(await connect(t, first, 'cloned'));

    const [last, ...others] = links.toReversed();
    for (const other of others) await other.rest();
    last?.send({ type: TYPE.PING });
    await last?.expect(TYPE.PONG);
    await waitFor('takeovers', () => Number(subscriber.view.get('cloned')?.seq) >= 3, LONG_MS);
    const spells = Math.ceil((performance.now() - began) / DAMP_MS);
    const takeovers = Number(subscriber.view.get('cloned')?.seq) - 1;
    t.ok(takeovers <= 2 + spells, `${takeovers} takeovers by 20 links`);
    t.match(await first.said('repeated takeovers of one device id: do two devices share it?'), {
      level: 'warn',
      device: 'cloned',
    });
    const clones = async () => (await figure(first, 'owsla_presence_clones_total')) > 0;
    await waitFor('the metric', clones, LONG_MS);
  },
);

t.test('restore: a new epoch, everybody is offline, and the next link counts on', async (t) => {
  await connect(t, first, 'door-17');
  await waitFor('online', isOnline('door-17'), LONG_MS);
  const before = subscriber.view.get('door-17')?.epoch ?? 0;
  await first.destroy();

  const restore = new Cli(['presence', 'restore', ...flags]);
  t.equal((await restore.exited).code, 0);
  t.match(restore.lines[0]?.msg, /^a new epoch, \d+: \d+ devices will be published as offline/);
  const traces = newFolder(t);
  const second = serve(t, broker.url, [...flags, '--acceptors', '1', '--trace-dir', traces]);
  await isReady(second);

  const isRestored = () => subscriber.view.get('door-17')?.reason === 'restored';
  await waitFor('restored', isRestored, LONG_MS);
  t.same(subscriber.online(), []);
  const { epoch, seq } = subscriber.view.get('door-17') ?? { epoch: 0, seq: 0 };
  t.ok(epoch > before);
  const device = await connect(t, second, 'door-17');
  await waitFor('online', isOnline('door-17'), LONG_MS);
  t.match(subscriber.view.get('door-17'), { epoch, seq: seq + 1, reason: 'connected' });
  device.close();
  await waitFor('offline', () => subscriber.view.get('door-17')?.seq === seq + 2, LONG_MS);
  t.same(await second.end(), { code: 0, signal: null });
  checkTraces(t, traces, seq);
});

/** --trace-dir: each process has written the steps of the specification, in their order. */
function checkTraces(t: Test, folder: string, seq: number): void {
  const lines = readTrace(folder).toSorted((a, b) => a.us - b.us);
  const said = lines.map(({ action }) => action);
  let at = 0;
  for (const action of ['RegistrarStart', 'Accept', 'WriteUp', 'Up', 'Commit', 'Publish', 'End']) {
    at = said.indexOf(action, at);
    t.ok(at >= 0, `${action} comes then: ${said.join(' ')}`);
  }
  const published = lines.filter(
    (line) => line.action === 'Publish' && line.device === 'door-17' && Number(line.seq) > seq,
  );
  t.same(
    published.map((line) => line.seq),
    [seq + 1, seq + 2],
  );
  t.ok(said.includes('Confirm') && said.includes('WriteDown') && said.includes('Down'));
}
