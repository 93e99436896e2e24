/** The stream between an acceptor and the registrar, over a real Unix socket. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { type Link, LinkChanges } from '../../src/acceptor/linkChanges.ts';
import { StreamClient } from '../../src/acceptor/streamClient.ts';
import { type LimitName, makeLimits } from '../../src/base/limits.ts';
import { makePresenceCounters } from '../../src/base/metrics.ts';
import { noTrace } from '../../src/base/trace.ts';
import { Recorder } from '../../src/registrar/presence/recorder.ts';
import { StreamServer } from '../../src/registrar/streamServer.ts';
import { FakeClock } from '../helpers/fakes/clock.ts';
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
    onTakeover: (link) => server.takeOver(link),
    onClone: () => {},
    settledTo: () => 0,
  });
  const log = pino({}, { write: (line) => errors.push(JSON.parse(line)) });
  const answers: unknown[][] = [];
  const onAnswer = (message: readonly unknown[]) => answers.push([...message]);
  const server = new StreamServer({ recorder, log, onAnswer, onMessages: () => {} });
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
    });
    const onTakeover = (connection: string) => told.push(connection);
    const commands: unknown[][] = [];
    const onCommand = (message: readonly unknown[]) => commands.push([...message]);
    const client = new StreamClient({ path, incarnation, limits, changes });
    client.start({ onTakeover, onCommand });
    t.teardown(() => client.close(0));
    const up = (id: string, deviceId: string) => {
      const link = { id, deviceId, acceptedUs: links.size + told.length };
      links.set(id, link);
      changes.onUp(link);
      client.wake();
    };
    return { client, changes, told, commands, up };
  };
  t.teardown(async () => {
    await server.close();
    rmSync(folder, { recursive: true });
  });
  return { path, recorder, server, store, errors, answers, work, acceptor };
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
