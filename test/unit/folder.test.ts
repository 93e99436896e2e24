/** The private folder of a node's sockets: made again when it is gone, never somebody else's. */
import { chmodSync, chownSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { makeLogger } from '../../src/base/log.ts';
import { FolderKeeper, makeFolder, remakeFolder } from '../../src/node/folder.ts';

const parent = mkdtempSync(join(tmpdir(), 'owsla-folder-'));
t.teardown(() => rmSync(parent, { recursive: true, force: true }));

t.test('a folder that is gone is made again, with what is above it, for us alone', async (t) => {
  const above = join(parent, 'tmp');
  const folder = join(above, 'owsla-123456');
  t.ok(remakeFolder(folder));
  t.notOk(remakeFolder(folder), 'it is there');

  rmSync(above, { recursive: true });
  t.ok(remakeFolder(folder));
  t.equal(statSync(folder).mode & 0o777, 0o700);
  chmodSync(folder, 0o777);
  t.notOk(remakeFolder(folder));
  t.equal(statSync(folder).mode & 0o777, 0o700);
});

const skip = process.getuid?.() === 0 ? false : 'only root can give a folder to another user';
t.test('one that another user has made in its place is not used', { skip }, async (t) => {
  const folder = makeFolder(parent);
  chownSync(folder, 65_534, 65_534);

  t.throws(() => remakeFolder(folder), /belongs to user 65534/);
  const keeper = new FolderKeeper(folder, makeLogger('silent', { role: 'supervisor' }));
  t.doesNotThrow(() => keeper.look());
});
