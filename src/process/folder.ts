/**
 * Folder: the private place of one node's Unix sockets.
 * From: TMPDIR, or /tmp.  To: supervisor.ts, which makes and removes it; children, by IPC.
 * Bound: a Unix socket's path has SOCKET_PATH_MAX bytes; a longer folder is refused at the start.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXIT, exitOfSystem, StartError } from '../errors.ts';
import { registrarSocket } from './ipc.ts';

/** unix(7): 108 bytes with the closing NUL; less on other systems. */
const SOCKET_PATH_MAX = process.platform === 'linux' ? 107 : 103;

/** A new folder (0700). Throws a StartError when there cannot be one for sockets. */
export function makeFolder(parent: string = tmpdir()): string {
  const pattern = join(parent, 'owsla-');
  if (Buffer.byteLength(registrarSocket(`${pattern}123456`)) > SOCKET_PATH_MAX) {
    throw new StartError(
      EXIT.config,
      `${parent} is too long a path for sockets; set TMPDIR to a shorter one`,
    );
  }
  try {
    return mkdtempSync(pattern);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    throw new StartError(
      exitOfSystem(code),
      `cannot make a folder for sockets in ${parent} (${code}); set TMPDIR to one that can be written`,
    );
  }
}

/** Remove it with what is in it; no error if it is gone. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
