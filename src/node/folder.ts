/**
 * Folder: the private place of one node's Unix sockets.
 * From: TMPDIR, or /tmp; --run-dir, for control.sock.  To: supervisor.ts, which makes it, makes it
 * again when somebody removed it, and removes it; children, by IPC, which make their sockets in it.
 * Bound: a Unix socket's path has SOCKET_PATH_MAX bytes; a longer folder is refused at the start.
 */
import {
  accessSync,
  chmodSync,
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmdirSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXIT, exitOfSystem, StartError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { controlSocket, registrarSocket } from './ipc.ts';

/** unix(7): 108 bytes with the closing NUL; less on other systems. */
const SOCKET_PATH_MAX = process.platform === 'linux' ? 107 : 103;

const PREFIX = 'owsla-';
/** mkdtemp(3) adds six. */
const NAME = new RegExp(`^${PREFIX}\\w{6}$`);

/** Folders of this user's nodes, those of killed ones too. */
export function findFolders(parent: string = tmpdir()): string[] {
  const isOurs = (folder: string) => lstatSync(folder).uid === process.geteuid?.();
  return readdirSync(parent)
    .filter((name) => NAME.test(name))
    .map((name) => join(parent, name))
    .filter(isOurs);
}

/** A new folder (0700). Throws a StartError when there cannot be one for sockets. */
export function makeFolder(parent: string = tmpdir()): string {
  const pattern = join(parent, PREFIX);
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

/**
 * Make the folder that --run-dir names if it is not there; true when it was not. Its rights and its
 * owner are the operator's business, and what is above it. Throws when it cannot be had.
 */
export function makeRunDir(folder: string): boolean {
  const isMade = makeOne(folder);
  // With the dot, a file is no folder.
  accessSync(`${folder}/.`, constants.W_OK | constants.X_OK);
  return isMade;
}

function makeOne(folder: string): boolean {
  try {
    mkdirSync(folder, { mode: 0o700 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
}

/** Whether control.sock can lie in there: the kernel takes only short paths. */
export function isShortEnough(folder: string): boolean {
  return Buffer.byteLength(controlSocket(folder)) <= SOCKET_PATH_MAX;
}

/** Remove it with what is in it; no error if it is gone. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

/**
 * What the supervisor would have done: children that outlive it end one by one. The observer
 * removes what is in there; another may still write then, and the last one finds it empty.
 */
export function leaveFolder(folder: string, isObserver: boolean): void {
  try {
    if (isObserver) removeFolder(folder);
    else rmdirSync(folder);
  } catch {
    // Not empty yet, or gone already: somebody else is the last.
  }
}

/** Keeps the folder there while a node runs. */
export class FolderKeeper {
  readonly #folder: string;
  readonly #log: Logger;
  readonly #remake: (folder: string) => boolean;
  /** Why it cannot be; said once. */
  #fault: string | undefined;

  constructor(folder: string, log: Logger, remake = remakeFolder) {
    this.#folder = folder;
    this.#log = log;
    this.#remake = remake;
  }

  /** Make it again if it is gone. Never throws: who needs it fails, and is tried again. */
  look(): void {
    try {
      if (this.#remake(this.#folder)) {
        this.#log.warn({ folder: this.#folder }, 'the folder for sockets was removed; made again');
      }
      this.#fault = undefined;
    } catch (error) {
      const why = (error as Error).message;
      if (why !== this.#fault) {
        this.#log.error({ folder: this.#folder, why }, 'the folder for sockets cannot be used');
      }
      this.#fault = why;
    }
  }
}

/**
 * Make `folder` again if it is not there, with what is above it; true when it was not. Throws when
 * that cannot be, or when somebody else has made it: sockets in there would be theirs.
 */
export function remakeFolder(folder: string): boolean {
  const isMade = mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined;
  const { uid, mode } = lstatSync(folder);
  if (uid !== process.geteuid?.()) throw new Error(`it belongs to user ${uid}`);
  if ((mode & 0o777) !== 0o700) chmodSync(folder, 0o700);
  return isMade;
}
