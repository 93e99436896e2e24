/**
 * SqliteFolder: the data folder: owner and modes of its files, the lock, the reserve, disk space.
 * From: sqliteFile.ts.  To: the folder (0700 where it is made here), and in it files with mode
 * 0600 whatever the umask: only the owner may read kept payloads.
 * Bound: `storeReserveBytes` on disk, so that a log which has filled the disk can be merged.
 *
 * `presence.lock` is an SQLite file only for its lock, which works the same on every system that
 * SQLite supports; the kernel frees it at any exit. It also keeps the highest epoch of the folder:
 * it stays when `presence.db` is lost, or comes from a backup.
 */
import { randomFillSync } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StoreError, type StoreFault } from './store.ts';

const DATABASE = 'presence.db';
const LOCK = 'presence.lock';
const RESERVE = 'presence.reserve';
/** Created here before SQLite opens them: it copies their modes to its other files. */
const MADE = [DATABASE, LOCK];
/** Files that do not always exist. */
const FOUND = [`${DATABASE}-wal`, `${DATABASE}-shm`, `${LOCK}-journal`, RESERVE];

const OWNER_ONLY = 0o600;
const FOLDER_MODE = 0o700;
/** Of the permission bits, those that no file of ours has. */
const TOO_MUCH = 0o177;
const CHUNK_BYTES = 256 * 1024;
/** A file system with less to give is full: SQLite's index of the log alone takes 32 KiB. */
const ROOM_BYTES_MIN = 64 * 1024;

/** SQLite's result codes, without their extensions: https://sqlite.org/rescode.html */
const BUSY = 5;
type Explanation = readonly [StoreFault, string];
const READ_ONLY: Explanation = [
  'read-only',
  'cannot be written: it, its folder or its file system is read-only',
];
const FULL: Explanation = ['full', 'cannot be written: the disk is full'];
const FAULTS: Readonly<Record<number, Explanation>> = {
  5: ['unusable', 'is locked by another program'],
  8: READ_ONLY,
  10: ['unusable', 'cannot be read or written'],
  11: ['corrupt', 'is corrupt; restore it from a backup, or start with another data folder'],
  13: FULL,
  14: ['unusable', 'cannot be opened; its folder must exist and be writable'],
  26: ['corrupt', 'is not an SQLite file; restore it from a backup, or remove it'],
};
/** Codes that SQLite also gives for a full disk. */
const MAYBE_FULL = [10, 14];
const ERRNO: Readonly<Record<string, Explanation>> = {
  ENOSPC: FULL,
  EDQUOT: FULL,
  EROFS: READ_ONLY,
};

export class SqliteFolder {
  /** The store's file. */
  readonly file: string;
  readonly #path: string;
  readonly #lock: DatabaseSync;
  readonly #reserveBytes: number;
  #hasReserve = false;

  /** Creates what is missing, and takes the lock. Throws a StoreError; nothing is held then. */
  constructor(path: string, reserveBytes: number) {
    this.#path = path;
    this.file = join(path, DATABASE);
    this.#reserveBytes = reserveBytes;
    const owner = makeFolder(path);
    for (const name of MADE) if (!isOurs(join(path, name))) makeFile(join(path, name), owner);
    for (const name of FOUND) isOurs(join(path, name));
    this.#lock = takeLock(path);
  }

  // The highest epoch.

  /** An epoch at or above `wanted`, and above all that this folder ever had. */
  epochFrom(wanted: number): number {
    const known = this.#lock.prepare('SELECT max(value) AS value FROM epoch').get()?.value;
    return Math.max(wanted, Number(known ?? 0) + 1);
  }

  /** `epoch` is in use. */
  keepEpoch(epoch: number): void {
    if (this.epochFrom(epoch) !== epoch) return;
    this.#lock.prepare('INSERT INTO epoch VALUES (?)').run(epoch);
    this.#lock.prepare('DELETE FROM epoch WHERE value < ?').run(epoch);
  }

  /** The first missing file of the store; undefined when all exist. */
  get missing(): string | undefined {
    const files = [this.file, `${this.file}-wal`, `${this.file}-shm`];
    return files.find((file) => !existsSync(file));
  }

  // The reserve.

  /** Without it nothing may be written: the log could fill the disk for good. */
  get hasReserve(): boolean {
    return this.#hasReserve;
  }

  /** Throws a StoreError when there is no room for it, and leaves none of it then. */
  makeReserve(): void {
    const file = join(this.#path, RESERVE);
    this.#hasReserve = sizeOf(file) === this.#reserveBytes;
    if (this.#hasReserve) return;
    rmSync(file, { force: true });
    try {
      // Others on this disk need what is left of it: it is not filled only to learn that.
      if (roomOf(this.#path) < this.#reserveBytes) throw noRoom();
      writeNoise(file, this.#reserveBytes);
    } catch (error) {
      rmSync(file, { force: true });
      const { fault, message } = faultOfFile(error, this.file);
      const size = `${this.#reserveBytes} bytes (storeReserveBytes)`;
      throw new StoreError(fault, `${message}: ${RESERVE} of ${size} cannot be created`);
    }
    ownAsFolder(file, statSync(this.#path));
    this.#hasReserve = true;
  }

  freeReserve(): void {
    this.#hasReserve = false;
    rmSync(join(this.#path, RESERVE), { force: true });
  }

  // Sizes, in bytes.

  get walBytes(): number {
    return sizeOf(`${this.file}-wal`);
  }

  get fileBytes(): number {
    return sizeOf(this.file);
  }

  /** What went wrong with the store, as one sentence. Our own bugs pass through as they are. */
  faultOf(error: unknown): unknown {
    return faultOf(error, this.file, this.#path);
  }

  close(): void {
    this.#lock.close();
  }
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

function makeFolder(path: string): Owner {
  try {
    const made = mkdirSync(path, { recursive: true, mode: FOLDER_MODE });
    // The umask may have taken more away.
    if (made !== undefined) chmodSync(path, FOLDER_MODE);
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return statSync(path);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (existsSync(path)) throw faultOfFile(error, path);
    const [fault, what] = ERRNO[code] ?? ['unusable', 'cannot be created'];
    throw new StoreError(fault, `the data folder ${path} ${what} (${code})`);
  }
}

/** Makes an existing file writable for us and unreadable for others. False: there is none. */
function isOurs(file: string): boolean {
  try {
    const { mode } = statSync(file);
    accessSync(file, constants.R_OK | constants.W_OK);
    if ((mode & TOO_MUCH) !== 0) chmodSync(file, OWNER_ONLY);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw faultOfFile(error, file);
  }
}

/** Only one that is not there: to close a file that SQLite has open lets go of its locks. */
function makeFile(file: string, owner: Owner): void {
  try {
    closeSync(openSync(file, 'wx', OWNER_ONLY));
    chmodSync(file, OWNER_ONLY);
    ownAsFolder(file, owner);
  } catch (error) {
    throw faultOfFile(error, file);
  }
}

/** What root creates here, as with `owsla presence restore`, gets the owner of the folder. */
function ownAsFolder(file: string, { uid, gid }: Owner): void {
  if (process.geteuid?.() === 0) chownSync(file, uid, gid);
}

function noRoom(): Error {
  return Object.assign(new Error('no room'), { code: 'ENOSPC' });
}

/** Takes its room whatever the file system compresses. */
function writeNoise(file: string, bytes: number): void {
  const descriptor = openSync(file, 'w', OWNER_ONLY);
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    for (let written = 0; written < bytes; ) {
      randomFillSync(chunk);
      written += writeSync(descriptor, chunk, 0, Math.min(CHUNK_BYTES, bytes - written));
    }
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  chmodSync(file, OWNER_ONLY);
}

function takeLock(folder: string): DatabaseSync {
  const file = join(folder, LOCK);
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(file, { timeout: 0 });
    lock.exec(`PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;
      CREATE TABLE IF NOT EXISTS epoch (value INTEGER NOT NULL) STRICT; COMMIT`);
    return lock;
  } catch (error) {
    lock?.close();
    if ((error as { errcode?: number }).errcode !== BUSY) throw faultOf(error, file, folder);
    throw new StoreError(
      'locked',
      `the data folder ${folder} is in use by another running node; give this one its own`,
    );
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** An error of node:fs. For a file of another user it names the owner. */
function faultOfFile(error: unknown, file: string): StoreError {
  const { code = String(error) } = error as NodeJS.ErrnoException;
  const [fault, what] = ERRNO[code] ?? ['unusable', `cannot be used${whoseIs(file, code)}`];
  return new StoreError(fault, `the presence store ${file} ${what} (${code})`);
}

function whoseIs(file: string, code: string): string {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (!stat || (code !== 'EACCES' && code !== 'EPERM')) return '';
  const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
  return `: it belongs to user ${stat.uid} (mode ${mode}), and this is user ${process.geteuid?.()}; give it to the user that runs Owsla (chown)`;
}

function faultOf(error: unknown, file: string, folder: string): unknown {
  const code = (error as { errcode?: number }).errcode;
  if (code === undefined) return error;
  const short = code & 0xff;
  const explanation = FAULTS[short] ?? ['unusable', 'cannot be used'];
  const isFull = MAYBE_FULL.includes(short) && roomOf(folder) < ROOM_BYTES_MIN;
  const [fault, what] = isFull ? FULL : explanation;
  return new StoreError(fault, `the presence store ${file} ${what} (${(error as Error).message})`);
}

function roomOf(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
