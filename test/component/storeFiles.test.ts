/** Whose the files of the presence store are, and who can read them; and who may have the store. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import t, { type Test } from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import { SqliteFile } from '../../src/registrar/store/sqliteFile.ts';

const NOW = 1_700_000_000_000;
const limits = makeLimits({ storeReserveBytes: 65_536 });
const FILES = [
  'presence.db',
  'presence.db-shm',
  'presence.db-wal',
  'presence.lock',
  'presence.reserve',
];
/** Of nobody; any but ours would do. */
const OTHER = 65_534;
const skip = process.getuid?.() === 0 ? false : 'only root can give files to another user';

function folder(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'owsla-files-'));
  t.teardown(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

const open = (at: string) => new SqliteFile(at, NOW, { limits });
const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

/** All files are there, and only their owner can read and write them. */
function checkModes(t: Test, at: string): void {
  const names = readdirSync(at).toSorted();
  // What SQLite keeps beside the lock, once that has been written.
  t.same(
    names.filter((name) => name !== 'presence.lock-journal'),
    FILES,
  );
  for (const name of names) t.equal(modeOf(join(at, name)), '600', name);
}

for (const umask of [0, 0o22, 0o777]) {
  t.test(
    `store: files are 0600 and its folder 0700, with umask ${umask.toString(8)}`,
    async (t) => {
      const at = join(folder(t), 'data');
      const before = process.umask(umask);
      t.teardown(() => process.umask(before));
      const store = open(at);
      process.umask(before);

      t.equal(modeOf(at), '700');
      checkModes(t, at);
      store.begin('node-1');
      store.close();
    },
  );
}

t.test('store: in a folder that others can read, what they could read is closed', async (t) => {
  const at = folder(t);
  chmodSync(at, 0o755);
  open(at).close();
  const reader = new DatabaseSync(join(at, 'presence.db'));
  reader.exec('CREATE TABLE others (value INTEGER)');
  for (const name of readdirSync(at)) chmodSync(join(at, name), 0o664);

  const store = open(at);

  checkModes(t, at);
  t.equal(modeOf(at), '755', 'a folder that was there is its maker’s');
  reader.close();
  store.close();
});

/** What a store says to another user; undefined when it can be had. */
function asOther(at: string): string | undefined {
  const module = join(import.meta.dirname, '../../src/registrar/store/sqliteFile.ts');
  const script = `
    import { SqliteFile } from ${JSON.stringify(module)};
    try { new SqliteFile(${JSON.stringify(at)}, 1).close(); console.log('taken'); }
    catch (error) { console.log(error.fault + ': ' + error.message); }`;
  const args = ['--input-type=module', '-e', script];
  const { stdout, stderr } = spawnSync(process.execPath, args, {
    uid: OTHER,
    gid: OTHER,
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  });
  if (stdout === '') throw new Error(stderr);
  return stdout === 'taken\n' ? undefined : stdout;
}

for (const name of FILES) {
  for (const mode of [0o600, 0o644, 0o666]) {
    const whose = `${name} of another user, mode ${mode.toString(8)}`;
    t.test(`store: ${whose}: refused, and said whose it is`, { skip }, async (t) => {
      const at = folder(t);
      chownSync(at, OTHER, OTHER);
      const store = open(at);
      store.begin('node-1');
      store.close();
      // Of a store that is closed some are not there.
      writeFileSync(join(at, name), '', { flag: 'a' });
      for (const file of readdirSync(at)) chownSync(join(at, file), OTHER, OTHER);
      chownSync(join(at, name), 0, 0);
      chmodSync(join(at, name), mode);

      const said = asOther(at);

      t.match(said, new RegExp(`${name} cannot be used: it belongs to user 0 .*user ${OTHER}`));
      t.match(said, /chown/);
    });
  }
}

t.test('store: a folder of another user: refused, and said whose it is', { skip }, async (t) => {
  const at = folder(t);
  chmodSync(at, 0o755);

  t.match(asOther(at), /unusable: .* belongs to user 0 \(mode 0755\), and this is user 65534/);
});

t.test('store: what root makes in a folder of another user is that user’s', { skip }, async (t) => {
  const at = folder(t);
  chownSync(at, OTHER, OTHER);

  const store = open(at);

  for (const name of FILES) t.equal(statSync(join(at, name)).uid, OTHER, name);
  store.close();
  t.equal(asOther(at), undefined);
});

t.test('store: a folder where a file has to be: refused in one sentence', async (t) => {
  const at = folder(t);
  mkdirSync(join(at, 'presence.db'));

  t.throws(() => open(at), { fault: 'unusable', message: /presence\.db[^\n]*$/ });
});

for (const name of ['presence.lock', 'the folder']) {
  t.test(`store: ${name} is taken away, and another node comes: the first stops`, async (t) => {
    const parent = folder(t);
    const at = join(parent, 'data');
    const first = open(at);
    first.begin('node-1');
    if (name === 'the folder') {
      // As by a mount over it, or a copy put in its place.
      renameSync(at, join(parent, 'away'));
      mkdirSync(at, 0o700);
      for (const file of FILES.slice(0, 3)) renameSync(join(parent, 'away', file), join(at, file));
    } else rmSync(join(at, name));

    const second = open(at);
    second.begin('node-2');

    const write = { rows: [], events: [], settledTo: 0 };
    t.throws(() => first.write(write), { fault: 'locked', message: /another node has taken/ });
    t.throws(() => first.compact(), { fault: 'locked', message: /because its lock was removed/ });
    t.equal(second.write(write), 0);
    first.close();
    second.close();
  });
}

t.test('store: its file is removed: nothing more is written to it', async (t) => {
  const at = folder(t);
  const store = open(at);
  store.begin('node-1');
  rmSync(at, { recursive: true });

  const write = { rows: [], events: [], settledTo: 0 };
  t.throws(() => store.write(write), { fault: 'removed', message: /was removed while/ });
  store.close();
});

for (const name of ['presence.db-wal', 'presence.db-shm']) {
  t.test(`store: ${name} is removed: said so, and nothing of it is lost`, async (t) => {
    const at = folder(t);
    const store = open(at);
    store.begin('node-1');
    const event = { id: 1, device: 'door-1', online: true, body: '{}' };
    store.write({ rows: [], events: [event], settledTo: 0 });
    rmSync(join(at, name));

    const write = { rows: [], events: [{ ...event, id: 2 }], settledTo: 0 };
    t.throws(() => store.write(write), { fault: 'removed', message: new RegExp(name) });
    // As a process that ends without a word leaves it.
    const copy = join(folder(t), 'presence.db');
    copyFileSync(join(at, 'presence.db'), copy);
    const left = new DatabaseSync(copy);
    t.match(left.prepare('SELECT count(*) AS events FROM outbox').get(), { events: 1 });
    left.close();
    store.close();
    const again = open(at);
    t.same(again.outbox(0, 9), [event]);
    again.close();
  });
}

t.test('store: a new file in an old folder, or an older backup, gets a later epoch', async (t) => {
  const at = folder(t);
  const backup = join(folder(t), 'presence.db');
  const ahead = NOW + 8_640_000_000;
  const first = open(at);
  t.equal(first.epoch, NOW);
  new DatabaseSync(join(at, 'presence.db')).exec(`VACUUM INTO '${backup}'`);
  first.restore(ahead);
  first.close();
  for (const name of FILES) if (name !== 'presence.lock') rmSync(join(at, name), { force: true });

  const second = open(at);
  t.equal(second.epoch, ahead + 1, 'above one of a clock that was 100 days ahead');
  second.close();
  rmSync(join(at, 'presence.db'));
  renameSync(backup, join(at, 'presence.db'));
  const third = open(at);
  t.match(third.restore(NOW), { epoch: ahead + 2 });
  third.close();
  const fourth = open(at);
  t.equal(fourth.epoch, ahead + 2, 'and keeps it');
  fourth.close();
});
