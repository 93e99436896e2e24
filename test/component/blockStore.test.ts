/** Devices that are kept out, as the store keeps them: over restarts, bounded, never twice. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import t, { type Test } from 'tap';
import { Sqlite } from '../../src/registrar/store/sqlite.ts';
import { SqliteFile } from '../../src/registrar/store/sqliteFile.ts';

const NOW = 1_700_000_000_000;
const MAX = 100;

function folder(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'owsla-store-'));
  t.teardown(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

const row = (device: string, since = NOW, note = '') => ({ device, since, note });

t.test('block store: who is blocked stays so for the next process, with the note', async (t) => {
  const at = folder(t);
  const first = new Sqlite(at);
  await first.open('node-1', NOW);
  const stolen = row('door-17', NOW, 'stolen “in Pune”');

  t.same(await first.block(stolen, MAX), { outcome: 'blocked', row: stolen });
  await first.block(row('-17', NOW + 1), MAX);
  await first.close();

  const second = new Sqlite(at);
  await second.open('node-2', NOW + 9);
  t.same(await second.blocked('', 9), [row('-17', NOW + 1), stolen]);
  t.same(await second.blocked('-17', 9), [stolen]);
  t.same(await second.blocked('', 1), [row('-17', NOW + 1)]);
  await second.close();
});

t.test('block store: a second time changes nothing, and says what there was', async (t) => {
  const store = new SqliteFile(folder(t), NOW);
  store.block(row('door-17', NOW, 'stolen'), MAX);

  const again = store.block(row('door-17', NOW + 5, 'found'), MAX);

  t.same(again, { outcome: 'already', row: row('door-17', NOW, 'stolen') });
  t.same(store.blocked('', 9), [row('door-17', NOW, 'stolen')]);
  t.same(store.unblock('door-17'), row('door-17', NOW, 'stolen'));
  t.equal(store.unblock('door-17'), undefined);
  t.same(store.blocked('', 9), []);
  store.close();
});

t.test(
  'block store: one more than the list has room for is refused, those in it not',
  async (t) => {
    const store = new SqliteFile(folder(t), NOW);
    store.block(row('a'), 2);
    store.block(row('b'), 2);

    t.same(store.block(row('c'), 2), { outcome: 'full' });
    t.match(store.block(row('a'), 2), { outcome: 'already' });
    store.unblock('a');
    t.match(store.block(row('c'), 2), { outcome: 'blocked' });
    t.same(
      store.blocked('', 9).map(({ device }) => device),
      ['b', 'c'],
    );
    store.close();
  },
);

t.test('block store: a file of schema 3 gets the list', async (t) => {
  const at = folder(t);
  new SqliteFile(at, NOW).close();
  const older = new DatabaseSync(join(at, 'presence.db'));
  for (const table of ['commands', 'outcomes']) {
    older.exec(`ALTER TABLE ${table} DROP COLUMN traceparent`);
    older.exec(`ALTER TABLE ${table} DROP COLUMN tracestate`);
  }
  older.exec('DROP TABLE wills; DROP TABLE willOutbox; DROP TABLE blocked');
  older.exec('PRAGMA user_version = 3');
  older.close();

  const store = new SqliteFile(at, NOW);
  t.match(store.block(row('door-17'), MAX), { outcome: 'blocked' });
  store.close();
});

t.test('block store: a restore of a backup keeps the list that is in it', async (t) => {
  const store = new SqliteFile(folder(t), NOW);
  store.block(row('door-17'), MAX);

  store.restore(NOW + 5);

  t.same(store.blocked('', 9), [row('door-17')]);
  store.close();
});
