/**
 * SqliteWal: keeps SQLite's log (`presence.db-wal`) small enough to be merged into the file again.
 * From: sqliteFile.ts, before each transaction and after one that failed.  To: checkpoints, the
 * reserve of sqliteFolder.ts, and a StoreError when nothing may be written now.
 * Bound: `storeWalBytesMax` of log, and a file that grows by half of the reserve at most when the
 * log is merged; beyond either, by one transaction at most, nothing is written.
 *
 * A checkpoint merges the log only up to what the oldest reader needs, and restarts it only without
 * readers: one program that reads for long makes it grow. Invariant: what is written, is written
 * while the reserve exists, so that even a full disk has room to merge the log.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { Limits } from '../../base/limits.ts';
import type { SqliteFolder } from './sqliteFolder.ts';
import { StoreError } from './store.ts';

/** How long a checkpoint waits for readers: a backup reads in steps. */
const READER_MS = 100;
/** How long a program that reads or writes the file may hold up a write. */
export const BUSY_MS = 2_000;
/** SQLite's own threshold, in pages, for a checkpoint. */
const CHECKPOINT_PAGES = 1_000;

/** How much of the log was merged: all, or not what another program still reads. */
type Taken = 'all' | 'read by another program';

export class SqliteWal {
  readonly #database: DatabaseSync;
  readonly #folder: SqliteFolder;
  readonly #walBytesMax: number;
  readonly #growthMax: number;
  readonly #pageBytes: number;
  /** All of them have been seen: a new store has no log before its first transaction. */
  #hasFiles = false;
  /** fine -> suspect, when a transaction failed -> fine, when there is room again. */
  #state: 'fine' | 'suspect' = 'suspect';

  constructor(
    database: DatabaseSync,
    folder: SqliteFolder,
    { storeWalBytesMax, storeReserveBytes }: Pick<Limits, 'storeWalBytesMax' | 'storeReserveBytes'>,
  ) {
    this.#database = database;
    this.#folder = folder;
    this.#walBytesMax = storeWalBytesMax;
    this.#growthMax = storeReserveBytes / 2;
    this.#pageBytes = this.#pragma('page_size');
    const pagesMax = Math.floor(Math.min(storeWalBytesMax, this.#growthMax) / this.#pageBytes);
    const pages = Math.max(1, Math.min(CHECKPOINT_PAGES, pagesMax));
    database.exec(`PRAGMA wal_autocheckpoint = ${pages};
      PRAGMA journal_size_limit = ${pages * this.#pageBytes}`);
  }

  #pragma(name: 'page_size' | 'page_count'): number {
    return Number(this.#database.prepare(`PRAGMA ${name}`).get()?.[name]);
  }

  /** A transaction failed: the disk may be full. */
  failed(): void {
    this.#state = 'suspect';
  }

  /** Before a transaction. Throws a StoreError when there must be none now. */
  makeRoom(): void {
    this.#checkFiles();
    if (this.#state === 'suspect' || !this.#folder.hasReserve || this.#isLong) this.#heal();
  }

  /**
   * What is written to a removed file is lost with this process. The log's content is
   * not: it is merged while that is possible.
   */
  #checkFiles(): void {
    const { missing } = this.#folder;
    this.#hasFiles ||= missing === undefined;
    if (missing === undefined || !this.#hasFiles) return;
    if (missing !== this.#folder.file) this.#take();
    const sentence = `the presence store's file ${missing} was removed while it was in use`;
    throw new StoreError('removed', sentence);
  }

  get #isLong(): boolean {
    const { walBytes, fileBytes } = this.#folder;
    // Most often the log is empty, or short.
    if (walBytes <= Math.min(this.#walBytesMax, this.#growthMax)) return false;
    if (walBytes > this.#walBytesMax) return true;
    return this.#pragma('page_count') * this.#pageBytes - fileBytes > this.#growthMax;
  }

  /** Merge the log, with the reserve's space if needed; then create the reserve again. */
  #heal(): void {
    const taken = this.#takeAnyhow();
    try {
      this.#folder.makeReserve();
    } catch (error) {
      if (taken !== 'all' && isFull(error)) throw this.#held('full');
      throw error;
    }
    if (taken !== 'all' && this.#isLong) throw this.#held('held');
    this.#state = 'fine';
  }

  #takeAnyhow(): Taken {
    try {
      return this.#take();
    } catch (error) {
      if (!isFull(this.#folder.faultOf(error))) throw error;
    }
    this.#folder.freeReserve();
    return this.#take();
  }

  #take(): Taken {
    this.#database.exec(`PRAGMA busy_timeout = ${READER_MS}`);
    try {
      const result = this.#database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get();
      return result?.busy === 0 ? 'all' : 'read by another program';
    } finally {
      this.#database.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
    }
  }

  #held(fault: 'held' | 'full'): StoreError {
    const { file, walBytes } = this.#folder;
    const disk = fault === 'full' ? 'the disk is full, and ' : '';
    return new StoreError(
      fault,
      `the presence store ${file} cannot be written: ${disk}its write-ahead log of ${walBytes} bytes cannot be merged while another program reads the file; stop that program`,
    );
  }
}

function isFull(error: unknown): boolean {
  return error instanceof StoreError && error.fault === 'full';
}
