/**
 * The presence store's contract, the same cases for each implementation; and what only the
 * SQLite file can show: another owner, a newer or broken file, a full disk, a restore.
 */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import t, { type Test } from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import type {
  CommandRow,
  CommandWrites,
  StoredOutcome,
} from '../../src/registrar/store/commandRows.ts';
import type { Row } from '../../src/registrar/store/presenceRules.ts';
import { Sqlite } from '../../src/registrar/store/sqlite.ts';
import { SqliteFile } from '../../src/registrar/store/sqliteFile.ts';
import type { Batch, OutboxEvent, Store } from '../../src/registrar/store/store.ts';
import type { StoredWill, WillChange } from '../../src/registrar/store/willRows.ts';
import { MemoryStore } from '../helpers/fakes/memoryStore.ts';

const NOW = 1_700_000_000_000;
const HOUR_MS = 3_600_000;

function row(device: string, given: Partial<Row> = {}): Row {
  return {
    device,
    seq: 1,
    online: true,
    connection: `connection of ${device}`,
    acceptor: 'acceptor-1',
    start: 1,
    acceptedUs: 123_456_789_012,
    at: NOW,
    reason: 'connected',
    ...given,
  };
}

/** Makes what a file has today what it was with schema 3, and 2. */
const TO_SCHEMA_3 = `
  DROP TABLE wills;
  DROP TABLE willOutbox;
  DROP TABLE blocked;
  ALTER TABLE commands DROP COLUMN traceparent;
  ALTER TABLE commands DROP COLUMN tracestate;
  ALTER TABLE outcomes DROP COLUMN traceparent;
  ALTER TABLE outcomes DROP COLUMN tracestate;
`;
const TO_SCHEMA_2 = `
  ${TO_SCHEMA_3};
  DROP INDEX presenceOffline;
  DROP INDEX commandsEnded;
  DROP INDEX commandsTaken;
  ALTER TABLE presence DROP COLUMN lived;
  ALTER TABLE commands DROP COLUMN lived;
  CREATE INDEX presenceOffline ON presence (at) WHERE online = 0;
  CREATE INDEX commandsEnded ON commands (at) WHERE NOT state IN ('waiting', 'taken');
  DELETE FROM meta WHERE name = 'lived'`;

/** The bytes of `text`, a character for each. */
const latin1 = (text: string) => Buffer.from(text).toString('latin1');

function event(id: number, device: string, online = true): OutboxEvent {
  return { id, device, online, body: `{"device":"${device}","n":${id}}` };
}

function command(id: number, device: string, given: Partial<CommandRow> = {}): CommandRow {
  return {
    id,
    key: id.toString(16).padStart(32, '0'),
    device,
    topic: 'door.open',
    payload: Buffer.from(`payload ${id}`),
    due: NOW + 1_000 + id,
    replyTo: 'backend.outcomes',
    correlationId: `correlation-${id}`,
    state: 'waiting',
    status: 0,
    reason: '',
    at: NOW,
    ...given,
  };
}

function outcome(id: number, given: Partial<StoredOutcome> = {}): StoredOutcome {
  return {
    id,
    type: 'result',
    device: 'door-1',
    key: 'ab'.repeat(16),
    replyTo: 'backend.outcomes',
    correlationId: `correlation-${id}`,
    status: 100,
    reason: '',
    payload: Buffer.from([0, 255, id]),
    isKept: true,
    ...given,
  };
}

/** A transaction that is about commands only. */
function about(given: Partial<CommandWrites>) {
  const nothing = { rows: [], outcomes: [], settledTo: 0 };
  return { rows: [], events: [], settledTo: 0, commands: { ...nothing, ...given } };
}

function folder(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'owsla-store-'));
  t.teardown(() => rmSync(made, { recursive: true }));
  return made;
}

/** Each gives a fresh store, and the same store once more as another process would open it. */
const IMPLEMENTATIONS: Record<string, (t: Test) => { store: Store; again: () => Store }> = {
  memory: () => {
    const store = new MemoryStore();
    return { store, again: () => store };
  },
  SQLite: (t) => {
    const at = folder(t);
    return { store: new Sqlite(at), again: () => new Sqlite(at) };
  },
};

for (const [name, make] of Object.entries(IMPLEMENTATIONS)) {
  const test = (promise: string, body: (t: Test, store: Store, again: () => Store) => unknown) =>
    t.test(`store: ${promise} (${name})`, async (t) => {
      const { store, again } = make(t);
      await store.open('node-1', NOW);
      await body(t, store, again);
      await store.close();
    });

  test('rows and events are there after another open; the epoch stays', async (t, store, again) => {
    const rows = [row('b', { online: false, reason: 'peer-fin' }), row('a')];
    t.equal(await store.write({ rows, events: [event(1, 'b'), event(2, 'a')], settledTo: 0 }), 2);
    await store.close();

    const next = again();
    const opened = await next.open('node-1', NOW + 5);

    t.same(opened, { epoch: NOW, start: 1, floor: 0, lastEvent: 2, outbox: 2 });
    t.same(await next.read(['a', 'nobody', 'b']), [rows[1], rows[0]]);
    t.same(await next.outbox(0, 9), [event(1, 'b'), event(2, 'a')]);
    await next.close();
  });

  test('the start number rises with another node, not with another process', async (t, store) => {
    t.match(await store.open('node-1', NOW), { start: 1 });
    t.match(await store.open('node-2', NOW), { start: 2 });
    t.match(await store.open('node-3', NOW), { start: 3 });
  });

  test('a row is written over; pages go by device id', async (t, store) => {
    const rows = ['c', 'a', 'b'].map((device) => row(device));
    await store.write({ rows, events: [], settledTo: 0 });
    const next = row('b', { seq: 2, online: false, reason: 'peer-bye' });
    await store.write({ rows: [next], events: [], settledTo: 0 });

    t.same(await store.page('', 2), [row('a'), next]);
    t.same(await store.page('b', 2), [row('c')]);
    t.same(await store.page('c', 2), []);
  });

  test('online rows are found by acceptor', async (t, store) => {
    const rows = [
      row('a'),
      row('b', { online: false }),
      row('c', { acceptor: 'acceptor-2' }),
      row('d'),
      row('e'),
    ];
    await store.write({ rows, events: [], settledTo: 0 });

    t.same((await store.acceptors()).sort(), ['acceptor-1', 'acceptor-2']);
    t.same(await store.online('acceptor-1', '', 2), [row('a'), row('d')]);
    t.same(await store.online('acceptor-1', 'd', 2), [row('e')]);
    t.same(await store.online('acceptor-3', '', 2), []);
  });

  test('events leave when they are settled; a page of them begins behind an id', async (t, store) => {
    const events = [1, 2, 3, 4].map((id) => event(id, `device-${id % 2}`, id % 2 === 0));
    t.equal(await store.write({ rows: [], events, settledTo: 0 }), 4);

    t.same(await store.outbox(1, 2), [events[1], events[2]]);
    t.equal(await store.write({ rows: [], events: [event(5, 'x')], settledTo: 3 }), 2);
    t.same(await store.outbox(0, 9), [events[3], event(5, 'x')]);
    t.equal(await store.write({ rows: [], events: [], settledTo: 5 }), 0);
  });

  test('compact keeps the newest event of each device', async (t, store) => {
    const events = ['a', 'b', 'a', 'a', 'c', 'b'].map((device, at) => event(at + 1, device));
    await store.write({ rows: [], events, settledTo: 0 });

    t.equal(await store.compact(), 3);
    t.same(await store.outbox(0, 9), [events[3], events[4], events[5]]);
    t.equal(await store.write({ rows: [], events: [], settledTo: 4 }), 2);
  });

  test('commands are there after another open, in order, with their bytes', async (t, store, again) => {
    const rows = [
      command(1, 'a'),
      command(2, 'b'),
      command(3, 'a'),
      command(4, 'a', { state: 'taken' }),
      command(5, 'c', { state: 'expired', reason: 'not-sent' }),
    ];
    await store.write(about({ rows, outcomes: [outcome(1)] }));
    await store.close();

    const next = again();
    await next.open('node-1', NOW);

    const { devices, ...last } = await next.openCommands();
    t.same(last, { lastCommand: 5, lastOutcome: 1 });
    t.same(
      devices.toSorted((a, b) => (a.device < b.device ? -1 : 1)),
      [
        { device: 'a', waiting: 2, taken: 1 },
        { device: 'b', waiting: 1, taken: 0 },
      ],
    );
    const of = (device: string, after = 0) => ({ device, after, limit: 2 });
    t.same(await next.waitingCommands([of('b'), of('a')]), [rows[1], rows[0], rows[2]]);
    t.same(await next.waitingCommands([of('a', 1), of('nobody')]), [rows[2]]);
    const keys = [rows[4]?.key ?? '', 'unknown'];
    t.same(await next.findCommands(keys), [rows[4]], 'an ended one too');
    t.same(await next.outcomes(0, 9), [outcome(1)]);
    await next.close();
  });

  test('a command is written over; what is due comes earliest first', async (t, store) => {
    const rows = [
      command(1, 'a', { due: NOW + 3 }),
      command(2, 'a', { due: NOW + 2 }),
      command(3, 'b', { due: NOW + 9 }),
      command(4, 'b', { due: NOW + 1 }),
    ];
    await store.write(about({ rows }));
    const taken = command(2, 'a', { due: NOW + 1, state: 'taken', at: NOW + 1 });
    const ended = command(4, 'b', { state: 'result', status: 100, payload: Buffer.from('ok') });
    await store.write(about({ rows: [taken, ended] }));

    t.same(await store.dueCommands(NOW + 3, HOUR_MS, 9), [taken, rows[0]]);
    t.same(await store.dueCommands(NOW + 3, HOUR_MS, 1), [taken]);
    t.same(await store.waitingCommands([{ device: 'a', after: 0, limit: 9 }]), [rows[0]]);
    const [found] = await store.findCommands([ended.key]);
    t.match(found, { state: 'result', status: 100 });
    t.equal(found?.payload.toString(), 'ok');
  });

  test('the trace context of a command and of its outcome comes back', async (t, store) => {
    const context = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, tracestate: 'a=b' };
    const rows = [command(1, 'a', { context }), command(2, 'a')];
    const outcomes = [outcome(1, { context }), outcome(2)];
    await store.write(about({ rows, outcomes }));

    const found = await store.waitingCommands([{ device: 'a', after: 0, limit: 9 }]);
    t.strictSame([found[0]?.context, found[1]?.context], [context, undefined]);
    t.strictSame((await store.outcomes(0, 9))[0]?.context, context);
    t.same(await store.outcomes(1, 9), [outcome(2)]);
  });

  test('wills are kept by link, and go to an outbox of their own', async (t, store, again) => {
    const end = { reason: 'peer-fin', at: NOW } as const;
    const publish = { what: 'publish', id: 1, connection: 'link of b', ...end } as const;
    const wait = { what: 'wait', connection: 'link of c', delayMs: 5, ...end } as const;
    const kept = ['a', 'b', 'c', 'd'].map((device) => keep(device));
    await store.write(ofWills([...kept, publish, wait]));
    await store.write(ofWills([{ what: 'drop', connection: 'link of d' }]));
    t.match(await store.willFigures(), { kept: 2, waiting: 1, outbox: 1, lastEvent: 1, full: 0 });
    await store.close();

    const next = again();
    await next.open('node-1', NOW);
    const head = { device: 'a', connection: 'link of a', hash: 'hash-a', delayMs: 0, rules: '' };
    t.same(await next.readWills(['a', 'b', 'nobody']), [{ ...head, isWaiting: false }]);
    t.match(await next.readWills(['c']), [{ delayMs: 5, isWaiting: true }]);
    const [event, ...others] = await next.willOutbox(0, 9);
    t.same(others, []);
    t.match(event, { id: 1, device: 'b', connection: 'link of b', topic: 'gone', ...end });
    t.same(event?.payload, Buffer.from([0, 255, 7]));
    t.same(await next.willOutbox(1, 9), []);
    await next.write(ofWills([], 1));
    t.match(await next.willFigures(), { kept: 2, waiting: 1, outbox: 0 });
    await next.close();
  });

  test('what is to be published and is not there is nothing; a will is published once', async (t, store) => {
    const publish = {
      what: 'publish',
      connection: 'link of a',
      reason: 'missed',
      at: NOW,
    } as const;
    await store.write(ofWills([keep('a'), { ...publish, id: 1 }, { ...publish, id: 2 }]));
    t.same(
      (await store.willOutbox(0, 9)).map(({ id }) => id),
      [1],
    );
    t.match(await store.willFigures(), { kept: 0, outbox: 1 });
  });

  test('outcomes leave when they are settled', async (t, store) => {
    const outcomes = [1, 2, 3].map((id) => outcome(id, { type: 'delivered' }));
    await store.write(about({ outcomes }));
    await store.write(about({ outcomes: [outcome(4)], settledTo: 2 }));

    t.same(await store.outcomes(0, 9), [outcomes[2], outcome(4)]);
    t.same(await store.outcomes(3, 9), [outcome(4)]);
  });
}

/** A transaction that is about wills only. */
function ofWills(changes: readonly WillChange[], settledTo = 0): Batch {
  return { rows: [], events: [], settledTo: 0, wills: { changes, settledTo } };
}

function keep(device: string, given: Partial<StoredWill> = {}): WillChange {
  const will: StoredWill = {
    ...{ device, connection: `link of ${device}`, hash: `hash-${device}`, topic: 'gone' },
    ...{ payload: Buffer.from([0, 255, 7]), delayMs: 0, rules: '', ...given },
  };
  return { what: 'keep', will };
}

/** The store's thread has a clock of its own: here the test has it. */
function inThisThread(file: SqliteFile): Store {
  return new Proxy({} as Store, {
    get: (_, name: keyof Store) => {
      if (name === 'open') return async (node: string) => file.begin(node);
      const method = file[name] as (...given: unknown[]) => unknown;
      return async (...given: unknown[]) => method.apply(file, given);
    },
  });
}

const AGEING: Record<string, (t: Test, now: () => number) => Store> = {
  memory: (_, now) => new MemoryStore(now),
  SQLite: (t, now) => inThisThread(new SqliteFile(folder(t), NOW, { now })),
};

for (const [name, make] of Object.entries(AGEING)) {
  const test = (
    promise: string,
    body: (t: Test, store: Store, clock: { now: number }) => Promise<unknown>,
  ) =>
    t.test(`store: ${promise} (${name})`, async (t) => {
      const clock = { now: 1_000 };
      const store = make(t, () => clock.now);
      await store.open('node-1', NOW);
      await body(t, store, clock);
      await store.close();
    });

  test('ended commands are forgotten by their age in lived time', async (t, store, clock) => {
    const rows = [
      command(1, 'a', { state: 'result', at: NOW + 99 }),
      command(2, 'a', { state: 'refused', reason: 'too-long', at: NOW - 99 }),
      command(3, 'a', { at: NOW - 99 }),
    ];
    await store.write(about({ rows: [rows[0], rows[2]].flatMap((one) => one ?? []) }));
    clock.now += 9;
    await store.write(about({ rows: rows.slice(1, 2) }));
    await store.write(about({ forgetAgeMs: 8 }));

    const known = await store.findCommands(rows.map(({ key }) => key));
    t.same(
      known.map(({ id }) => id),
      [2, 3],
    );
  });

  test('the oldest offline rows are forgotten first, and leave their highest seq', async (t, store, clock) => {
    const write = async (...rows: Row[]) => {
      await store.write({ rows, events: [], settledTo: 0 });
      clock.now += 10;
    };
    await write(row('online', { seq: 900, at: NOW - 40 }));
    await write(row('older', { online: false, seq: 7, at: NOW + 30 }));
    await write(row('old', { online: false, seq: 70, at: NOW - 20 }));
    await write(row('new', { online: false, seq: 800, at: NOW - 99 }));

    t.same(await store.forget(15, 1), { forgotten: 1, floor: 7 });
    t.same(await store.forget(15, 9), { forgotten: 1, floor: 70 });
    t.same(await store.forget(15, 9), { forgotten: 0, floor: 70 });
    t.same(
      (await store.page('', 9)).map(({ device }) => device),
      ['new', 'online'],
    );
    t.match(await store.open('node-1', NOW), { floor: 70 });
  });

  test('a will is due when its delay is over, and keeps the reason of then', async (t, store, clock) => {
    const end = { connection: 'link of a', reason: 'peer-fin', at: NOW } as const;
    const later = { connection: 'link of b', reason: 'peer-reset', at: NOW } as const;
    await store.write(
      ofWills([
        ...[keep('a'), keep('b'), keep('c')],
        { what: 'wait', delayMs: 50, ...end },
        { what: 'wait', delayMs: 20, ...later },
      ]),
    );
    clock.now += 19;
    t.same(await store.dueWills(9), { due: [], nextMs: 1 });
    clock.now += 1;
    const due = { device: 'b', connection: 'link of b' };
    t.same(await store.dueWills(9), { due: [due], nextMs: 30 });
    clock.now += 30;
    t.same(await store.dueWills(1), { due: [due] }, 'the earliest first');
    await store.write(
      ofWills([{ what: 'publish', id: 1, connection: 'link of a', reason: 'missed', at: NOW + 9 }]),
    );
    t.match(await store.willOutbox(0, 9), [{ reason: 'peer-fin', at: NOW }]);
  });

  test('a command that was taken is due when its time for a RESULT is over', async (t, store, clock) => {
    const taken = command(1, 'a', { state: 'taken', due: NOW + HOUR_MS });
    await store.write(about({ rows: [taken, command(2, 'a', { due: NOW + HOUR_MS })] }));
    clock.now += 29;
    t.same(await store.dueCommands(NOW, 30, 9), []);
    t.same(await store.dueCommands(NOW - HOUR_MS * 2_400, 30, 9), [], 'whatever the wall clock');
    clock.now += 1;
    t.same(await store.dueCommands(NOW, 30, 9), [taken]);
    t.same(await store.dueCommands(NOW - HOUR_MS * 2_400, 30, 9), [taken]);
    t.equal((await store.dueCommands(NOW + HOUR_MS, 30, 9)).length, 2, 'none of them twice');
  });
}

t.test('store: wills that do not fit are not kept, and counted', (t) => {
  const limits = makeLimits({ willsBytesMax: 1_024 });
  const store = new SqliteFile(folder(t), NOW, { limits });
  // 256 bytes of a row, 4 of the topic, 3 of the payload: three fit.
  store.write(ofWills(['a', 'b', 'c', 'd'].map((device) => keep(device))));
  t.match(store.willFigures(), { kept: 3, bytes: 3 * 263, full: 1 });

  const publish = { what: 'publish', id: 1, connection: 'link of a', reason: 'missed' } as const;
  store.write(ofWills([{ ...publish, at: NOW }, keep('e')]));
  t.match(store.willFigures(), { kept: 2, outbox: 1, full: 2 }, 'until it is at the broker');
  store.write(ofWills([keep('e')], 1));
  t.match(store.willFigures(), { kept: 3, outbox: 0, full: 2 });
  store.close();
  t.end();
});

t.test('store: a restore of a backup forgets its wills', (t) => {
  const store = new SqliteFile(folder(t), NOW);
  const end = { connection: 'link of b', reason: 'missed', at: NOW } as const;
  store.write(ofWills([keep('a'), keep('b'), { what: 'publish', id: 1, ...end }]));
  store.restore(NOW + 1);
  t.match(store.willFigures(), { kept: 0, outbox: 0, bytes: 0 });
  store.close();
  t.end();
});

t.test('store: the lived time goes on where another process left it', async (t) => {
  const at = folder(t);
  const clock = { now: 500 };
  const before = new SqliteFile(at, NOW, { now: () => clock.now });
  before.write({ rows: [row('a', { online: false, seq: 4 })], events: [], settledTo: 0 });
  clock.now += 60;
  before.forget(HOUR_MS, 9);
  before.close();

  // Another boot: its clock begins anew. The year in between was not lived.
  const other = { now: 7 };
  const store = new SqliteFile(at, NOW + 8_760 * HOUR_MS, { now: () => other.now });
  t.same(store.forget(60, 9), { forgotten: 0, floor: 0 });
  other.now += 1;
  t.same(store.forget(60, 9), { forgotten: 1, floor: 4 });
  store.close();
});

t.test('store: a process that stood still for long has not lived so long', async (t) => {
  const clock = { now: 500 };
  const store = new SqliteFile(folder(t), NOW, { now: () => clock.now });
  store.write({ rows: [row('a', { online: false })], events: [], settledTo: 0 });

  clock.now += 2_400 * HOUR_MS;

  t.same(store.forget(HOUR_MS, 9), { forgotten: 0, floor: 0 });
  store.close();
});

t.test('store: a second owner of one folder is refused, until the first is gone', async (t) => {
  const at = folder(t);
  const first = new Sqlite(at);
  await first.open('node-1', NOW);
  const second = new Sqlite(at);

  const refused = { fault: 'locked', message: /is in use by another running node/ };
  await t.rejects(second.open('node-2', NOW), refused);
  await first.close();
  t.match(await second.open('node-2', NOW), { start: 2 });
  await second.close();
});

t.test('store: a newer file is refused in one sentence, and not touched', async (t) => {
  const at = folder(t);
  new SqliteFile(at, NOW).close();
  const newer = new DatabaseSync(join(at, 'presence.db'));
  newer.exec('PRAGMA user_version = 99');
  newer.close();

  const refused = {
    fault: 'newer',
    message: /^[^\n]*written by a newer Owsla \(schema 99, [^\n]*$/,
  };
  t.throws(() => new SqliteFile(at, NOW), refused);
});

t.test('store: a file that is no SQLite file, or is damaged inside, is refused', async (t) => {
  const at = folder(t);
  const file = join(at, 'presence.db');
  writeFileSync(file, 'x'.repeat(9_000));
  t.throws(() => new SqliteFile(at, NOW), { fault: 'corrupt', message: /is not an SQLite file/ });

  rmSync(file);
  const store = new SqliteFile(at, NOW);
  const rows = Array.from({ length: 2_000 }, (_, n) => row(`device-${n}`));
  store.write({ rows, events: [], settledTo: 0 });
  store.close();
  const damaged = new DatabaseSync(file);
  const { bytes } =
    damaged
      .prepare('SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size')
      .get() ?? {};
  damaged.close();
  const descriptor = openSync(file, 'r+');
  writeSync(
    descriptor,
    Buffer.alloc(16_384, 0xff),
    0,
    16_384,
    Math.floor(Number(bytes) / 8_192) * 4_096,
  );
  closeSync(descriptor);

  t.throws(() => new SqliteFile(at, NOW), { fault: 'corrupt', message: /is corrupt/ });
});

t.test(
  'store: what a full disk refuses is not written at all, and can be tried again',
  async (t) => {
    const at = folder(t);
    const store = new SqliteFile(at, NOW);
    store.begin('node-1');
    const rows = Array.from({ length: 5_000 }, (_, n) => row(`device-${n}`));
    const events = rows.map(({ device }, n) => event(n + 1, device));
    const exec = DatabaseSync.prototype.exec;
    t.teardown(() => {
      DatabaseSync.prototype.exec = exec;
    });
    let pages = 20;
    DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string) {
      if (sql.startsWith('BEGIN')) exec.call(this, `PRAGMA max_page_count = ${pages}`);
      return exec.call(this, sql);
    };

    const full = { fault: 'full', message: /the disk is full/ };
    t.throws(() => store.write({ rows, events, settledTo: 0 }), full);
    t.same(store.page('', 9), []);
    t.same(store.outbox(0, 9), []);
    pages = 1_000_000;
    t.equal(store.write({ rows, events, settledTo: 0 }), 5_000);
    store.close();
  },
);

t.test('store: a file that may only be read is refused as read-only', async (t) => {
  const at = folder(t);
  const store = new SqliteFile(at, NOW);
  const exec = DatabaseSync.prototype.exec;
  DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string) {
    return exec.call(this, `PRAGMA query_only = ON; ${sql}`);
  };
  t.teardown(() => {
    DatabaseSync.prototype.exec = exec;
  });

  t.throws(() => store.begin('node-1'), { fault: 'read-only', message: /read-only/ });
  store.close();
});

t.test('store: a data folder that cannot be made or written is unusable', async (t) => {
  const at = folder(t);
  writeFileSync(join(at, 'file'), '');

  t.throws(() => new SqliteFile(join(at, 'file', 'sub'), NOW), {
    fault: 'unusable',
    message: /ENOTDIR/,
  });
});

t.test('store: others may read the file while it is owned', async (t) => {
  const at = folder(t);
  const store = new SqliteFile(at, NOW);
  store.write({ rows: [row('a')], events: [], settledTo: 0 });

  const reader = new DatabaseSync(join(at, 'presence.db'), { readOnly: true });

  t.match(reader.prepare('SELECT count(*) AS rows FROM presence').get(), { rows: 1 });
  reader.close();
  store.close();
});

t.test('store: a restore begins a later epoch and says offline of every device', async (t) => {
  const at = folder(t);
  const store = new SqliteFile(at, NOW);
  const rows = Array.from({ length: 2_500 }, (_, n) =>
    row(`device-${n}`, { seq: n + 1, online: n % 2 === 0 }),
  );
  store.write({ rows, events: [event(1, 'device-0')], settledTo: 0 });

  t.same(
    store.restore(NOW - 5),
    { epoch: NOW + 1, devices: 2_500 },
    'later though the clock is not',
  );

  const events = store.outbox(0, 9_999);
  t.equal(events.length, 2_500);
  t.same(JSON.parse(events.find(({ device }) => device === 'device-7')?.body ?? ''), {
    device: 'device-7',
    epoch: NOW + 1,
    seq: 9,
    online: false,
    connection: 'connection of device-7',
    acceptor: 'acceptor-1',
    at: NOW - 5,
    reason: 'restored',
  });
  t.same(store.acceptors(), []);
  t.match(store.begin('node-1'), { epoch: NOW + 1, outbox: 2_500, lastEvent: 2_500 });
  store.close();
});

t.test('store: a file of schema 1 gets room for commands, and keeps its rows', async (t) => {
  const at = folder(t);
  const before = new SqliteFile(at, NOW);
  before.write({ rows: [row('a')], events: [event(1, 'a')], settledTo: 0 });
  before.close();
  const older = new DatabaseSync(join(at, 'presence.db'));
  older.exec(`${TO_SCHEMA_2}; DROP TABLE commands; DROP TABLE outcomes; PRAGMA user_version = 1`);
  older.close();

  const store = new SqliteFile(at, NOW + 5);
  store.write(about({ rows: [command(1, 'a')] }));

  t.match(store.begin('node-1'), { epoch: NOW, outbox: 1 });
  t.same(store.read(['a']), [row('a')]);
  t.match(store.openCommands(), { lastCommand: 1 });
  store.close();
});

t.test(
  'store: a file of schema 2 keeps its rows, names as bytes; they age from now on',
  async (t) => {
    const at = folder(t);
    const clock = { now: 0 };
    const before = new SqliteFile(at, NOW);
    const named = { replyTo: 'höfe', correlationId: '鍵' };
    const asBytes = { replyTo: latin1('höfe'), correlationId: latin1('鍵') };
    const gone = row('gone', { online: false, at: NOW - 10_000 * HOUR_MS });
    const ended = command(1, 'a', { ...named, state: 'result', at: NOW - 10_000 * HOUR_MS });
    const told = { ...outcome(1), ...named };
    before.write({ ...about({ rows: [ended], outcomes: [told] }), rows: [gone] });
    before.close();
    const older = new DatabaseSync(join(at, 'presence.db'));
    older.exec(`${TO_SCHEMA_2}; PRAGMA user_version = 2`);
    older.close();

    const store = new SqliteFile(at, NOW, { now: () => clock.now });
    t.same(store.forget(99, 9), { forgotten: 0, floor: 0 });
    store.write(about({ forgetAgeMs: 99 }));
    t.same(store.read(['gone']), [gone]);
    t.same(store.findCommands([ended.key]), [{ ...ended, ...asBytes }]);
    t.same(store.outcomes(0, 9), [{ ...told, ...asBytes }]);
    clock.now += 100;
    t.same(store.forget(99, 9), { forgotten: 1, floor: 1 });
    store.write(about({ forgetAgeMs: 99 }));
    t.same(store.findCommands([ended.key]), []);
    store.close();
  },
);

t.test('store: a restore forgets commands: they may have been acted upon since', async (t) => {
  const store = new SqliteFile(folder(t), NOW);
  store.write(about({ rows: [command(1, 'a')], outcomes: [outcome(1)] }));

  store.restore(NOW + 5);

  t.same(store.openCommands(), { devices: [], lastCommand: 0, lastOutcome: 0 });
  store.close();
});
