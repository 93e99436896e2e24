/**
 * A small file system of its own, a real one that fills: tmpfs, which root may mount.
 * From: a test.  To: its folder; or why there cannot be one here, which the test has to say.
 * Bound: it is gone with the test, at the latest with this process.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

function mount(folder: string, MiB: number): string | undefined {
  if (process.platform !== 'linux') return 'tmpfs is Linux';
  const command = ['-t', 'tmpfs', '-o', `size=${MiB}m,mode=0755`, 'tmpfs', folder];
  const { status, stderr, error } = spawnSync('mount', command, { encoding: 'utf8' });
  if (status === 0) return undefined;
  return `no right to mount a small file system: ${error?.message ?? stderr.trim()}`;
}

function unmount(folder: string): void {
  // Whoever has a file open on it still may keep it: then it goes with them.
  spawnSync('umount', ['-l', folder]);
  rmSync(folder, { recursive: true, force: true });
}

const newFolder = () => mkdtempSync(join(tmpdir(), 'owsla-disk-'));

/** Why there can be no small disk here; undefined when there can. */
export function whyNoSmallDisk(): string | undefined {
  const folder = newFolder();
  const why = mount(folder, 1);
  unmount(folder);
  return why;
}

/** Its folder. */
export function smallDisk(t: Test, MiB: number): string {
  const folder = newFolder();
  const why = mount(folder, MiB);
  if (why !== undefined) throw new Error(why);
  let isThere = true;
  const remove = () => {
    if (isThere) unmount(folder);
    isThere = false;
  };
  process.once('exit', remove);
  t.teardown(remove);
  return folder;
}
