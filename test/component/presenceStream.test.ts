/** The stream between an acceptor and the registrar, over a real Unix socket. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { BlockList } from '../../src/acceptor/identity/blockList.ts';
import { type Link, LinkChanges } from '../../src/acceptor/linkChanges.ts';
import { StreamClient } from '../../src/acceptor/streamClient.ts';
import { type LimitName, makeLimits } from '../../src/base/limits.ts';
import { makePresenceCounters } from '../../src/base/metrics.ts';
import { noTrace } from '../../src/base/trace.ts';
import type { BlockListMessage } from '../../src/node/messages.ts';
import type { VerdictMessage } from '../../src/node/verdicts.ts';
import { Recorder } from '../../src/registrar/presence/recorder.ts';
import { StreamServer } from '../../src/registrar/streamServer.ts';
import { FakeClock } from '../helpers/fakes/clock.ts';
import { makeLinkWills } from '../helpers/fakes/linkWills.ts';
import { MemoryStore } from '../helpers/fakes/memoryStore.ts';
import { waitFor } from '../helpers/waitFor.ts';

const clock = new FakeClock();

async function build(t: Test, overrides: Partial<Record<LimitName, number>> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'owsla-stream-'));
  const path = join(folder, 'registrar.sock');
  const limits = makeLimits(overrides);
  const store = new MemoryStore();
  const errors: object[] = [];
  const recorder = new Recorder({
    store,
    node: 'node-1',
    limits,
    clock,
    trace: noTrace,
    counters: makePresenceCounters(),
    onOpen: () => {},
    onCommit: () => {},
    onTakeover: ({ acceptor, connection }) => server.tellLinks(acceptor, ['takeover', connection]),
    onClone: () => {},
    settledTo: () => 0,
  });
  const log = pino({}, { write: (line) => errors.push(JSON.parse(line)) });
  const answers: unknown[][] = [];
  const asked: unknown[][] = [];
  const told: VerdictMessage[] = [];
  const heard: unknown[][] = [];
  const onAnswer = (message: readonly unknown[]) => answers.push([...message]);
  const onAsk = (acceptor: string, message: readonly unknown[]) => asked.push([acceptor, message]);
  const greeting = () => told.values();
  const onVerdicts = (message: readonly unknown[]) => heard.push([...message]);
  const toAcceptors = { onAsk, onVerdicts, greeting, onAnswer };
  const server = new StreamServer({
    recorder,
    limits,
    log,
    ...toAcceptors,
    onStream: () => {},
    onMessages: () => {},
  });
  await server.listen(path);
  const work = async () => {
    while (await recorder.work()) server.makeRoom();
    server.makeRoom();
  };
  const acceptor = (incarnation: string) => {
    const links = new Map<string, Link>();
    const told: string[] = [];
    const changes = new LinkChanges({
      links: (shard) => (shard === 0 ? links.values() : []),
      clock,
      trace: noTrace,
      ...makeLinkWills(),
    });
    const onTakeover = (connection: string) => told.push(connection);
    const commands: unknown[][] = [];
    const onCommand = (message: readonly unknown[]) => commands.push([...message]);
    const client = new StreamClient({ path, incarnation, limits, changes });
    const blockList = new BlockList();
    const onBlockList = (message: BlockListMessage) => blockList.onMessage(message);
    const auth: unknown[][] = [];
    const onAuth = (message: readonly unknown[]) => auth.push([...message]);
    const onLost = () => auth.push(['lost']);
    const toKnow = { onAuth, onLost, told: greeting };
    client.start({ onTakeover, onCommand, onBlockList, ...toKnow });
    t.teardown(() => client.close(0));
    const up = (id: string, deviceId: string) => {
      const link = { id, deviceId, acceptedUs: links.size + told.length };
      links.set(id, link);
      changes.onUp(link);
      client.wake();
      return link;
    };
    return { client, changes, told, commands, blockList, auth, up };
  };
  t.teardown(async () => {
    await server.close();
    rmSync(folder, { recursive: true });
  });
  return { path, recorder, server, store, errors, answers, asked, told, heard, work, acceptor };
}

t.test('links reach the registrar, and a takeover the acceptor', async (t) => {
  const { recorder, store, work, acceptor } = await build(t);
  recorder.onNode(['a', 'b']);
  const [a, b] = [acceptor('a'), acceptor('b')];
  await waitFor('both streams', () => a.client.isUp && b.client.isUp);
  clock.advance(1);
  a.up('connection-1', 'door-17');
  await waitFor('told', async () => {
    await work();
    return store.rows.has('door-17');
  });
  b.up('connection-0', 'other');
  b.up('connection-2', 'door-17');
  await waitFor('taken over', async () => {
    await work();
    return a.told.length === 1;
  });

  t.same(a.told, ['connection-1']);
  t.match(store.rows.get('door-17'), { connection: 'connection-2', acceptor: 'b', seq: 2 });
});

t.test('what waited until its moves were on record is told once they are', async (t) => {
  const { recorder, server, store, work, acceptor } = await build(t);
  recorder.onNode(['a']);
  const a = acceptor('a');
  await waitFor('its stream', () => a.client.isUp);
  const link = a.up('connection-1', 'door-17');
  await waitFor('told', async () => {
    await work();
    return store.rows.has('door-17') && a.changes.isDone;
  });
  a.changes.onGiven(link, 'b');
  a.changes.tellAll(1);
  server.tellLinks('a', ['recorded', ['connection-1']]);

  await waitFor('its mark', () => a.changes.given === 0 && a.changes.isDone);
  t.equal(a.changes.size, 0);
});

t.test('an acceptor that the supervisor has not named yet comes again until it is', async (t) => {
  const { recorder, server, store, work, acceptor } = await build(t);
  recorder.onNode([]);
  const a = acceptor('a');
  a.up('connection-1', 'door-17');
  await waitFor('a try', () => a.client.isUp);
  await waitFor('its refusal', () => !a.client.isUp);
  t.equal(server.size, 0);

  recorder.onNode(['a']);

  await waitFor('told', async () => {
    await work();
    return store.rows.has('door-17');
  });
  t.equal(server.size, 1);
});

t.test('a stream of an acceptor that has ended is closed', async (t) => {
  const { recorder, server, acceptor } = await build(t);
  recorder.onNode(['a']);
  const a = acceptor('a');
  await waitFor('its stream', () => server.size === 1);

  recorder.onNode([]);
  server.makeRoom();

  await waitFor('its end', () => server.size === 0 && !a.client.isUp);
  t.pass('closed');
});

t.test('a stream that breaks the format is closed and logged; others go on', async (t) => {
  const { path, recorder, server, errors, store, work, acceptor } = await build(t);
  recorder.onNode(['a']);
  const a = acceptor('a');
  await waitFor('its stream', () => server.size === 1);
  for (const bytes of ['ffffffff00', '0000000200', '00000001c1', '00000002918f']) {
    const socket = connect(path);
    socket.on('error', () => {});
    socket.write(Buffer.from(bytes, 'hex'));
    if (bytes === '0000000200') socket.end();
    await once(socket, 'close');
  }
  a.up('connection-1', 'door-17');
  await waitFor('told', async () => {
    await work();
    return store.rows.has('door-17');
  });

  t.ok(errors.length >= 2);
  t.match(errors[0], { reason: 'bad message' });
});

t.test('a registrar that is full reads no more, and loses nothing', async (t) => {
  const limits = { presenceQueueMax: 100, presenceBatchMax: 50, presenceStreamBytes: 1_024 };
  const { recorder, store, work, acceptor } = await build(t, limits);
  recorder.onNode(['a']);
  const a = acceptor('a');
  await waitFor('its stream', () => a.client.isUp);

  const links = 50_000;
  for (let at = 0; at < links; at += 1) a.up(`connection-${at}`, `device-${at}`);
  await waitFor('a full registrar', () => recorder.isFull());
  const { waiting } = recorder.figures();
  t.ok(a.changes.size > links / 2, `${a.changes.size} of ${links} still wait at the acceptor`);
  t.ok(waiting < 10_000, `${waiting} at the registrar`);

  await waitFor('all of them', async () => {
    await work();
    return store.rows.size === links;
  });
  t.ok(a.changes.isDone);
});

const KEY = 'ab'.repeat(16);

t.test('commands reach their acceptor in order, and answers the registrar', async (t) => {
  const { recorder, server, answers, acceptor } = await build(t);
  recorder.onNode(['a', 'b']);
  const [a, b] = [acceptor('a'), acceptor('b')];
  await waitFor('both streams', () => server.size === 2 && a.client.isUp && b.client.isUp);
  // More than fits one frame, and one payload longer than a frame of many.
  const payloads = Array.from({ length: 300 }, (_, at) => Buffer.alloc(at === 7 ? 400_000 : 4, at));
  const sent = payloads.map((payload, at) =>
    server.send('a', ['command', 'door-17', 'connection-1', KEY, `t${at}`, payload, 5_000]),
  );
  await waitFor('all of them', () => a.commands.length === sent.filter((s) => s === 'sent').length);
  for (const payload of payloads) a.client.answer(['result', KEY, 100, payload]);
  await waitFor('all answers', () => answers.length === 300);

  t.ok(sent.every((s) => s === 'sent'));
  t.same(a.commands[7], ['command', 'door-17', 'connection-1', KEY, 't7', payloads[7], 5_000]);
  t.same(
    a.commands.map(([, , , , topic]) => topic),
    payloads.map((_, at) => `t${at}`),
  );
  t.same(answers[299], ['result', KEY, 100, payloads[299]]);
  t.same(b.commands, []);
  t.equal(server.send('c', ['command', 'd', 'c', KEY, 't', Buffer.alloc(0), 1]), 'gone');
});

t.test('a stream that is full takes no command, and one that is empty any', async (t) => {
  const { recorder, server, acceptor } = await build(t);
  recorder.onNode(['a']);
  const a = acceptor('a');
  await waitFor('its stream', () => server.size === 1 && a.client.isUp);
  const long = Buffer.alloc(1_000_000);

  t.equal(server.send('a', ['command', 'd', 'c', KEY, 't', long, 1]), 'sent');
  t.equal(server.send('a', ['command', 'd', 'c', KEY, 't', long, 1]), 'busy');
  await waitFor('the first', () => a.commands.length === 1);
});

const idsOf = (count: number) => Array.from({ length: count }, (_, at) => `device-${at}`);

t.test('the block list reaches an acceptor whole, and then each change', async (t) => {
  const { recorder, server, acceptor } = await build(t);
  const devices = new Set(idsOf(2_500));
  server.listBlocked(devices);
  recorder.onNode(['a']);
  const { blockList } = acceptor('a');
  t.notOk(blockList.isKnown);

  await blockList.known;
  t.ok(idsOf(2_500).every((device) => blockList.has(device)));
  t.notOk(blockList.has('device-2500'));
  t.equal(blockList.takeFresh().size, 2_500);

  devices.add('late');
  t.same(await server.tellBlocked(['block', ['late']]), [], 'it has said so');
  t.ok(blockList.has('late'));
  recorder.onNode(['a', 'b']);
  t.same(await server.tellBlocked(['unblock', 'device-7']), ['b'], 'b has no stream');
  t.notOk(blockList.has('device-7'));
  t.ok(blockList.has('late'));
  t.same([...blockList.takeFresh()], ['late'], 'only links of these are to end');
});

t.test('an acceptor waits for the block list until the registrar has read it', async (t) => {
  const { recorder, server, acceptor } = await build(t);
  recorder.onNode(['a']);
  const { client, blockList } = acceptor('a');
  await waitFor('the stream', () => client.isUp && server.size === 1);
  t.notOk(blockList.isKnown);

  server.listBlocked(new Set(['door-17']));

  await blockList.known;
  t.ok(blockList.has('door-17'));
});

t.test('what changes while the block list is on its way is right in the end', async (t) => {
  const { recorder, server, acceptor } = await build(t);
  const devices = new Set(idsOf(100_000));
  server.listBlocked(devices);
  recorder.onNode(['a']);
  const { blockList } = acceptor('a');
  await waitFor('its stream', () => server.size === 1);

  // The first piece has left, the last one has not.
  for (const gone of ['device-3', 'device-99999']) {
    devices.delete(gone);
    void server.tellBlocked(['unblock', gone]);
  }
  devices.add('new');
  void server.tellBlocked(['block', ['new']]);
  t.notOk(blockList.isKnown, 'it is on its way');

  await blockList.known;
  t.same(
    ['device-3', 'device-99999', 'device-4', 'device-99998', 'new'].map((one) =>
      blockList.has(one),
    ),
    [false, false, true, true, true],
  );
});

t.test('a block list that was cut off lets nobody in; the next whole one counts', async (t) => {
  const blockList = new BlockList();
  blockList.onMessage(['list-begin']);
  blockList.onMessage(['block', ['a', 'b']]);
  blockList.onMessage(['list-end']);
  blockList.takeFresh();

  blockList.onMessage(['list-begin']);
  blockList.onMessage(['block', ['c']]);
  t.same(
    ['a', 'b', 'c'].map((one) => blockList.has(one)),
    [true, true, true],
  );
  blockList.onMessage(['list-begin']);
  blockList.onMessage(['block', ['b']]);
  blockList.onMessage(['list-end']);
  t.same(
    ['a', 'b', 'c'].map((one) => blockList.has(one)),
    [false, true, false],
  );
  t.same([...blockList.takeFresh()], ['c']);
});

t.test(
  'a new stream is told all that is known, as it reads; then questions go both ways',
  async (t) => {
    const { recorder, server, asked, told, heard, acceptor } = await build(t);
    const word = ['k'.repeat(44), 0, true, 0, null] as const;
    const pieces = 400;
    for (let count = 0; count < pieces; count += 1) {
      told.push(['verdict', Array.from({ length: 100 }, () => word)]);
    }
    recorder.onNode(['a', 'b']);
    const [a, b] = [acceptor('a'), acceptor('b')];
    await waitFor('all of it', () => a.auth.length === pieces && b.auth.length === pieces);
    t.match(a.auth.at(-1), ['verdict', { length: 100 }]);
    await waitFor('what both know', () => heard.length === 2 * pieces);
    t.match(heard.at(-1), ['verdict', { length: 100 }]);

    a.client.answer(['ask', 1, 'door-17', 'secret', 'peer', 'devices']);
    await waitFor('a question', () => asked.length === 1);
    t.same(asked, [['a', ['ask', 1, 'door-17', 'secret', 'peer', 'devices']]]);
    server.send('a', ['said', 1, { isAllowed: true, expiresAt: 0, topics: ['#'] }]);
    server.sendAll(['verdict', [word]]);
    await waitFor('answers', () => a.auth.length === pieces + 2 && b.auth.length === pieces + 1);
    t.same(a.auth.at(-2), ['said', 1, { isAllowed: true, expiresAt: 0, topics: ['#'] }]);

    await server.close();
    await waitFor('the loss', () => a.auth.at(-1)?.[0] === 'lost');
  },
);

t.test(
  'as many questions as there can be at once cost presence its turn, not the stream',
  async (t) => {
    const { recorder, store, asked, work, acceptor } = await build(t);
    const { greetingsMax, helloBytesMax } = makeLimits();
    recorder.onNode(['a']);
    const { client, auth, up } = acceptor('a');
    await waitFor('the stream', () => client.isUp);
    const token = 'x'.repeat(helloBytesMax);
    const begun = performance.now();
    for (let id = 1; id <= greetingsMax; id += 1) {
      client.answer(['ask', id, `door-${id}`, token, 'peer', 'devices']);
    }
    up('connection-1', 'behind');
    await waitFor('the change behind them', async () => {
      await work();
      return store.rows.has('behind');
    });
    t.comment(`${Math.round(performance.now() - begun)} ms`);
    t.equal(asked.length, greetingsMax);
    t.same(auth, [], 'the stream was never lost');
  },
);

t.test('a registrar that is full leaves questions unread, until it has room', async (t) => {
  const { recorder, asked, work, acceptor } = await build(t, { presenceQueueMax: 10 });
  recorder.onNode(['a']);
  const { client, up } = acceptor('a');
  await waitFor('the stream', () => client.isUp);
  for (let at = 0; at < 40; at += 1) up(`connection-${at}`, `door-${at}`);
  await waitFor('it is full', () => recorder.isFull());
  client.answer(['ask', 1, 'door-41', 'secret', 'peer', 'devices']);
  await waitFor('the question', async () => {
    await work();
    return asked.length === 1;
  });
});
