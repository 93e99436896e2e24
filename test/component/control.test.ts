/** The node's sockets: the observer asks children by incarnation; people ask at control.sock. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { type LimitName, makeLimits } from '../../src/base/limits.ts';
import { type AnswersByKind, Channel } from '../../src/node/channel.ts';
import { ChildChannel } from '../../src/node/childChannel.ts';
import { ChildChannels } from '../../src/observer/childChannels.ts';
import { Control } from '../../src/observer/control.ts';
import { registrarQuestions } from '../../src/registrar/questions.ts';
import type { Row } from '../../src/registrar/store/presenceRules.ts';
import { MemoryStore } from '../helpers/fakes/memoryStore.ts';
import { whyOf } from '../helpers/noAnswer.ts';
import { waitFor } from '../helpers/waitFor.ts';

type Overrides = Partial<Record<LimitName, number>>;

function folder(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'owsla-control-'));
  t.teardown(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** The observer's end, what it was told, and children that connect to it. */
async function observing(t: Test) {
  const path = join(folder(t), 'observer.sock');
  const limits = makeLimits();
  const lines: { reason?: string }[] = [];
  const log = pino({}, { write: (line) => lines.push(JSON.parse(line)) });
  const reported: string[] = [];
  const children = new ChildChannels({
    path,
    limits,
    log,
    onReport: ({ incarnation }) => reported.push(incarnation),
  });
  await children.listen();
  t.teardown(() => children.close());
  const child = (incarnation: string, answers: AnswersByKind = {}) => {
    const report = { index: 1, incarnation, degraded: [], snapshot: {} };
    const onUp = () => made.notify('report', report);
    const made: ChildChannel = new ChildChannel({ path, limits, answers, onUp });
    made.start();
    t.teardown(() => made.endWith('report', report, 100));
    return made;
  };
  const peer = async (): Promise<Socket> => {
    const socket = connect(path);
    socket.on('error', () => {});
    t.teardown(() => socket.destroy());
    await once(socket, 'connect');
    return socket;
  };
  return { path, children, child, peer, reported, lines };
}

t.test('the observer asks a process by its incarnation; an unknown one is away', async (t) => {
  const { children, child, reported } = await observing(t);
  child('a', { who: () => 'a' });
  child('b', { who: () => 'b' });
  await waitFor('both', () => reported.length === 2);

  t.same(await Promise.all([children.ask('a', 'who', null), children.ask('b', 'who', null)]), [
    'a',
    'b',
  ]);
  t.equal(await whyOf(children.ask('c', 'who', null)), 'closed');
  t.equal(await whyOf(children.ask('a', 'later', null)), 'unknown');
});

t.test('a process that has ended is away at once, and its next life is found', async (t) => {
  const { children, child, reported } = await observing(t);
  const first = child('a', { who: () => 'first' });
  await waitFor('it', () => reported.length === 1);

  await first.endWith('report', { index: 1, incarnation: 'a', degraded: [], snapshot: {} }, 1_000);
  await waitFor('its end', () => children.size === 0);
  t.same(reported, ['a', 'a'], 'with a last report');
  t.equal(await whyOf(children.ask('a', 'who', null)), 'closed');

  child('a2', { who: () => 'second' });
  await waitFor('the next', () => reported.length === 3);
  t.equal(await children.ask('a2', 'who', null), 'second');
});

t.test('nonsense on one connection closes it, is logged, and costs no other', async (t) => {
  const { children, child, peer, reported, lines } = await observing(t);
  child('a', { who: () => 'a' });
  await waitFor('it', () => reported.length === 1);

  for (const body of [null, 7, {}, { index: 1 }, { index: '1', incarnation: 'a' }]) {
    const bad = await peer();
    new Channel(bad, { limits: makeLimits() }).notify('report', body);
    await once(bad, 'close');
  }
  const noise = await peer();
  noise.end('GET / HTTP/1.1\r\n\r\n');
  await once(noise, 'close');

  await waitFor('its lines', () => lines.length === 6);
  t.ok(lines.every(({ reason }) => reason === 'bad frame'));
  t.equal(await children.ask('a', 'who', null), 'a');
  t.equal(reported.length, 1);
});

t.test('an observer that comes later, or anew, is told at once', async (t) => {
  const { path, children, child, reported } = await observing(t);
  await children.close();
  child('a', { who: () => 'a' });
  const options = { path, limits: makeLimits(), log: pino({ level: 'silent' }) };
  for (const life of ['first', 'second']) {
    const later: string[] = [];
    const onReport = ({ incarnation }: { incarnation: string }) => later.push(incarnation);
    const observer = new ChildChannels({ ...options, onReport });
    await observer.listen();
    await waitFor(`a report to the ${life}`, () => later.length > 0);
    t.equal(await observer.ask('a', 'who', null), 'a');
    await observer.close();
  }
  t.same(reported, []);
});

async function control(t: Test, answers: AnswersByKind, limits: Overrides = {}) {
  const path = join(folder(t), 'control.sock');
  const log = pino({ level: 'silent' });
  const made = new Control({ path, limits: makeLimits(limits), log, answers });
  await made.listen();
  t.teardown(() => made.close());
  const asker = async () => {
    const socket = connect(path);
    socket.on('error', () => {});
    t.teardown(() => socket.destroy());
    await once(socket, 'connect');
    return { socket, channel: new Channel(socket, { limits: makeLimits() }) };
  };
  return { path, control: made, asker };
}

t.test('control.sock: for its owner alone, whatever the umask', async (t) => {
  const before = process.umask(0);
  t.teardown(() => process.umask(before));
  const { path } = await control(t, {});

  t.equal(statSync(path).mode & 0o777, 0o600);
  t.equal(process.umask(), 0, 'the umask is as it was');
});

t.test('control.sock: one more than controlConnectionsMax closes the most idle', async (t) => {
  const { control: made, asker } = await control(
    t,
    { echo: (body) => body },
    {
      controlConnectionsMax: 2,
    },
  );
  const first = await asker();
  await waitFor('the first', () => made.size === 1);
  const second = await asker();
  await waitFor('the second', () => made.size === 2);
  t.equal(await first.channel.ask('echo', 1), 1);

  const third = await asker();
  await once(second.socket, 'close');

  t.equal(await first.channel.ask('echo', 1), 1);
  t.equal(await third.channel.ask('echo', 3), 3);
  t.equal(made.size, 2);
});

t.test('control.sock: a folder that is not there is tried again, and ends nothing', async (t) => {
  const path = join(folder(t), 'later', 'control.sock');
  const lines: { msg?: string }[] = [];
  const log = pino({}, { write: (line) => lines.push(JSON.parse(line)) });
  const made = new Control({ path, limits: makeLimits(), log, answers: {} });

  await made.listen();
  await made.close();

  t.match(lines, [{ msg: 'control.sock cannot be opened; trying again' }]);
});

/** A device that is, or was, connected. */
function row(device: string, more: Partial<Row>): Row {
  const link = { connection: `of-${device}`, acceptor: 'a', start: 1, acceptedUs: 1 };
  return { device, seq: 1, online: true, ...link, at: 0, reason: 'connected', ...more };
}

t.test('where: acceptor and connection of a connected device, or nothing', async (t) => {
  const { children, child, reported } = await observing(t);
  const store = new MemoryStore();
  for (const one of [
    row('door-17', {}),
    row('gone', { online: false }),
    row('of-the-dead', { acceptor: 'ended' }),
  ]) {
    store.rows.set(one.device, one);
  }
  child('r', registrarQuestions(store, { isLive: (acceptor) => acceptor === 'a' }));
  await waitFor('it', () => reported.length === 1);
  const where = (body: unknown) => children.ask('r', 'where', body);

  t.same(await where({ device: 'door-17' }), { acceptor: 'a', connection: 'of-door-17' });
  for (const device of ['gone', 'of-the-dead', 'never-seen', '']) {
    t.equal(await where({ device }), null, device);
  }
  for (const body of [null, {}, { device: 17 }, 'door-17', [], undefined]) {
    t.equal(await whyOf(where(body)), 'bad');
  }
});
