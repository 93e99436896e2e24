/**
 * SqliteFile: the store in one SQLite file, every call synchronous; SQL is in the sqlite* files.
 * From: sqliteThread.ts; preflight and `owsla presence`, which look while no node runs.
 * To: `presence.db` in the data folder (sqliteFolder.ts), in WAL mode, synced with every
 * transaction. Its owner and root may read it meanwhile (sqlite3 and its .backup).
 * Bound: `storeWalBytesMax` of log, and no more to merge than the reserve has room for; beyond
 * that, and one transaction, nothing is written until the program that reads the file has ended.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { PresenceReason } from '../../base/errors.ts';
import { type Limits, makeLimits } from '../../base/limits.ts';
import type { BlockedDevice, Blocking } from './blockRows.ts';
import type { CommandRow, OpenCommands, StoredOutcome } from './commandRows.ts';
import { LivedTime } from './livedTime.ts';
import { eventOf, type Row } from './presenceRules.ts';
import { SqliteBlocked } from './sqliteBlocked.ts';
import { SqliteCommands } from './sqliteCommands.ts';
import { SqliteFolder } from './sqliteFolder.ts';
import { SCHEMA, upgrade } from './sqliteSchema.ts';
import { BUSY_MS, SqliteWal } from './sqliteWal.ts';
import { SqliteWills } from './sqliteWills.ts';
import { type Batch, type Opened, type OutboxEvent, StoreError } from './store.ts';
import type { DueWills, WillEvent, WillFigures, WillHead } from './willRows.ts';

const COLUMNS = 'device, seq, online, connection, acceptor, start, acceptedUs, at, reason';

const SQL = {
  getMeta: 'SELECT value FROM meta WHERE name = ?',
  setMeta: 'INSERT OR REPLACE INTO meta VALUES (?, ?)',
  read: `SELECT ${COLUMNS} FROM presence WHERE device = ?`,
  online: `SELECT ${COLUMNS} FROM presence
    WHERE online = 1 AND acceptor = ? AND device > ? ORDER BY device LIMIT ?`,
  acceptors: 'SELECT DISTINCT acceptor FROM presence WHERE online = 1',
  page: `SELECT ${COLUMNS} FROM presence WHERE device > ? ORDER BY device LIMIT ?`,
  write: `INSERT INTO presence (${COLUMNS}, lived) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (device) DO UPDATE SET
      seq = excluded.seq, online = excluded.online, connection = excluded.connection,
      acceptor = excluded.acceptor, start = excluded.start, acceptedUs = excluded.acceptedUs,
      at = excluded.at, reason = excluded.reason, lived = excluded.lived`,
  addEvent: 'INSERT INTO outbox (id, device, online, body) VALUES (?, ?, ?, ?)',
  settle: 'DELETE FROM outbox WHERE id <= ?',
  compact: `DELETE FROM outbox
    WHERE id NOT IN (SELECT max(id) FROM outbox GROUP BY device)`,
  outbox: 'SELECT id, device, online, body FROM outbox WHERE id > ? ORDER BY id LIMIT ?',
  countOutbox: 'SELECT count(*) AS events, coalesce(max(id), 0) AS last FROM outbox',
  stale: 'SELECT device, seq FROM presence WHERE online = 0 AND lived < ? ORDER BY lived LIMIT ?',
  forget: 'DELETE FROM presence WHERE device = ?',
} as const;

type Statements = Record<keyof typeof SQL, StatementSync>;

/** How many rows `restore` changes between two looks at the file. */
const RESTORE_ROWS = 1_000;

/** Of the limits, what bounds a store. */
export type StoreLimits = Pick<Limits, 'storeWalBytesMax' | 'storeReserveBytes' | 'willsBytesMax'>;

export interface SqliteOptions {
  readonly limits?: StoreLimits;
  /** ms of a monotonic clock. */
  readonly now?: () => number;
}

export class SqliteFile {
  readonly #folder: SqliteFolder;
  readonly #database: DatabaseSync;
  readonly #wal: SqliteWal;
  readonly #sql: Statements;
  readonly #commands: SqliteCommands;
  readonly #blocked: SqliteBlocked;
  readonly #wills: SqliteWills;
  readonly #lived: LivedTime;
  /** The owner of the store: shows when another node has taken it over. */
  #node: string | undefined;
  #outbox: number;

  /**
   * Opens, and creates what is not there: with the epoch `epoch`, or a later one if the folder had
   * that before. Proves that it can be written. Throws a StoreError; nothing is left open then.
   */
  constructor(folder: string, epoch: number, options: SqliteOptions = {}) {
    const { limits = makeLimits(), now = () => performance.now() } = options;
    this.#folder = new SqliteFolder(folder, limits.storeReserveBytes);
    let database: DatabaseSync | undefined;
    try {
      database = this.#guard(() => openAnyhow(this.#folder, epoch));
      this.#database = database;
      this.#wal = new SqliteWal(database, this.#folder, limits);
      const prepared = Object.entries(SQL).map(([name, sql]) => [name, this.#prepare(sql)]);
      this.#sql = Object.fromEntries(prepared) as Statements;
      this.#commands = this.#guard(() => new SqliteCommands(this.#database));
      this.#blocked = this.#guard(() => new SqliteBlocked(this.#database));
      this.#wills = this.#guard(() => new SqliteWills(this.#database, limits.willsBytesMax));
      this.#lived = new LivedTime(this.#meta('lived'), now);
      this.#outbox = this.#count().events;
      this.#transaction(() => {});
      this.#guard(() => this.#folder.keepEpoch(this.epoch));
    } catch (error) {
      database?.close();
      this.#folder.close();
      throw error;
    }
  }

  /** The epoch; `begin` is what makes a node its owner. */
  get epoch(): number {
    return this.#meta('epoch');
  }

  /** Bytes of the log that is beside the file. */
  get walBytes(): number {
    return this.#folder.walBytes;
  }

  begin(node: string): Opened {
    const opened = this.#transaction(() => {
      const isKnown = this.#sql.getMeta.get('node')?.value === node;
      const start = this.#meta('start') + (isKnown ? 0 : 1);
      // Written in any case: a file that cannot be written shows it here.
      this.#sql.setMeta.run('node', node);
      this.#sql.setMeta.run('start', start);
      const { events, last } = this.#count();
      const { epoch } = this;
      return { epoch, start, floor: this.#meta('floor'), lastEvent: last, outbox: events };
    });
    this.#node = node;
    return opened;
  }

  read(devices: readonly string[]): Row[] {
    return this.#guard(() => devices.flatMap((device) => asRow(this.#sql.read.get(device))));
  }

  online(acceptor: string, after: string, limit: number): Row[] {
    return this.#guard(() => this.#sql.online.all(acceptor, after, limit).flatMap(asRow));
  }

  acceptors(): string[] {
    return this.#guard(() => this.#sql.acceptors.all().map(({ acceptor }) => String(acceptor)));
  }

  page(after: string, limit: number): Row[] {
    return this.#guard(() => this.#sql.page.all(after, limit).flatMap(asRow));
  }

  outbox(after: number, limit: number): OutboxEvent[] {
    return this.#guard(() => this.#sql.outbox.all(after, limit).map(asEvent));
  }

  write({ rows, events, settledTo, commands, wills }: Batch): number {
    let willed = this.#wills.figures;
    const left = this.#transaction((lived) => {
      for (const row of rows) this.#sql.write.run(...fieldsOf(row), lived);
      for (const { id, device, online, body } of events) {
        this.#sql.addEvent.run(id, device, Number(online), body);
      }
      if (commands) this.#commands.write(commands, lived);
      if (wills) willed = this.#wills.write(wills, lived);
      return this.#outbox + events.length - Number(this.#sql.settle.run(settledTo).changes);
    });
    this.#outbox = left;
    this.#wills.committed(willed);
    return left;
  }

  willFigures(): WillFigures {
    return this.#wills.figures;
  }

  readWills(devices: readonly string[]): WillHead[] {
    return this.#guard(() => this.#wills.read(devices));
  }

  dueWills(limit: number): DueWills {
    return this.#guard(() => this.#wills.due(this.#lived.ms, limit));
  }

  willOutbox(after: number, limit: number): WillEvent[] {
    return this.#guard(() => this.#wills.outbox(after, limit));
  }

  openCommands(): OpenCommands {
    return this.#guard(() => this.#commands.open());
  }

  findCommands(keys: readonly string[]): CommandRow[] {
    return this.#guard(() => this.#commands.find(keys));
  }

  waitingCommands(of: Parameters<SqliteCommands['waiting']>[0]): CommandRow[] {
    return this.#guard(() => this.#commands.waiting(of));
  }

  dueCommands(now: number, resultMs: number, limit: number): CommandRow[] {
    const takenBefore = this.#lived.ms - resultMs;
    return this.#guard(() => this.#commands.due(now, takenBefore, limit));
  }

  outcomes(after: number, limit: number): StoredOutcome[] {
    return this.#guard(() => this.#commands.outcomes(after, limit));
  }

  block(row: BlockedDevice, max: number): Blocking {
    return this.#transaction(() => this.#blocked.block(row, max));
  }

  unblock(device: string): BlockedDevice | undefined {
    return this.#transaction(() => this.#blocked.unblock(device));
  }

  blocked(after: string, limit: number): BlockedDevice[] {
    return this.#guard(() => this.#blocked.page(after, limit));
  }

  compact(): number {
    const gone = this.#transaction(() => Number(this.#sql.compact.run().changes));
    this.#outbox -= gone;
    return this.#outbox;
  }

  forget(ageMs: number, limit: number): { forgotten: number; floor: number } {
    return this.#transaction((lived) => {
      const stale = this.#sql.stale.all(lived - ageMs, limit);
      let floor = this.#meta('floor');
      for (const { device, seq } of stale) {
        floor = Math.max(floor, Number(seq));
        this.#sql.forget.run(device ?? null);
      }
      if (stale.length > 0) this.#sql.setMeta.run('floor', floor);
      return { forgotten: stale.length, floor };
    });
  }

  /**
   * The file came back from a backup: begin a new epoch, above every event that was sent since, and
   * publish every device as offline. Its commands and wills are deleted: some may have been acted
   * upon since. Whom the backup says is blocked stays so. Gives the new epoch and the number of
   * devices.
   */
  restore(now: number): { epoch: number; devices: number } {
    const restored = this.#transaction((lived) => {
      const epoch = this.#folder.epochFrom(Math.max(now, this.epoch + 1));
      this.#sql.setMeta.run('epoch', epoch);
      this.#sql.settle.run(this.#count().last);
      this.#commands.clear();
      this.#wills.committed(this.#wills.clear());
      let devices = 0;
      for (let rows = this.page('', RESTORE_ROWS); rows.length > 0; ) {
        for (const { seq, ...row } of rows) {
          const next = {
            ...row,
            seq: seq + 1,
            online: false,
            at: now,
            reason: 'restored',
          } as const;
          devices += 1;
          this.#sql.write.run(...fieldsOf(next), lived);
          this.#sql.addEvent.run(devices, row.device, 0, eventOf(next, epoch));
        }
        rows = this.page(rows.at(-1)?.device ?? '', RESTORE_ROWS);
      }
      return { epoch, devices };
    });
    this.#guard(() => this.#folder.keepEpoch(restored.epoch));
    return restored;
  }

  close(): void {
    this.#database.close();
    this.#folder.close();
  }

  #prepare(sql: string): StatementSync {
    return this.#guard(() => this.#database.prepare(sql));
  }

  #meta(name: string): number {
    return Number(this.#sql.getMeta.get(name)?.value ?? 0);
  }

  #count(): { events: number; last: number } {
    return this.#guard(() => {
      const { events, last } = this.#sql.countOutbox.get() ?? {};
      return { events: Number(events), last: Number(last) };
    });
  }

  /** All of `work` or nothing, with the lived time, which it puts on record. */
  #transaction<T>(work: (lived: number) => T): T {
    return this.#guard(() => {
      this.#wal.makeRoom();
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        this.#checkOwner();
        const lived = this.#lived.ms;
        const result = work(lived);
        this.#sql.setMeta.run('lived', lived);
        this.#database.exec('COMMIT');
        return result;
      } catch (error) {
        // SQLite itself has rolled back after some errors.
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
        this.#wal.failed();
        throw error;
      }
    });
  }

  /** If the lock file is removed, a second node can start; then the first must stop writing. */
  #checkOwner(): void {
    if (this.#node === undefined || this.#sql.getMeta.get('node')?.value === this.#node) return;
    throw new StoreError(
      'locked',
      `another node has taken over the presence store ${this.#folder.file}, because its lock was removed; stop one of them`,
    );
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw this.#folder.faultOf(error);
    }
  }
}

/** With the reserve's space if the disk is full: else even reading the log may fail. */
function openAnyhow(folder: SqliteFolder, epoch: number): DatabaseSync {
  try {
    return openDatabase(folder, epoch);
  } catch (error) {
    const fault = folder.faultOf(error);
    if (!(fault instanceof StoreError) || fault.fault !== 'full') throw error;
  }
  folder.freeReserve();
  return openDatabase(folder, epoch);
}

function openDatabase(folder: SqliteFolder, epoch: number): DatabaseSync {
  const { file } = folder;
  const database = new DatabaseSync(file, { timeout: BUSY_MS });
  try {
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
      PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;`);
    const schema = Number(database.prepare('PRAGMA user_version').get()?.user_version);
    if (schema > SCHEMA) {
      throw new StoreError(
        'newer',
        `${file} was written by a newer Owsla (schema ${schema}, this one supports ${SCHEMA}); use that version, or another data folder`,
      );
    }
    if (schema < SCHEMA) upgrade(database, schema, folder.epochFrom(epoch));
    const check = database.prepare('PRAGMA quick_check(1)').get()?.quick_check;
    if (check !== 'ok') throw new StoreError('corrupt', `${file} is corrupt: ${check}`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

type Found = Record<string, unknown>;

function asRow(found: Found | undefined): Row[] {
  if (found === undefined) return [];
  return [{ ...(found as unknown as Row), online: found.online === 1 }];
}

function asEvent(found: Found): OutboxEvent {
  return { ...(found as unknown as OutboxEvent), online: found.online === 1 };
}

function fieldsOf(
  row: Row,
): [string, number, number, string, string, number, number, number, PresenceReason] {
  const { device, seq, online, connection, acceptor, start, acceptedUs, at, reason } = row;
  return [device, seq, Number(online), connection, acceptor, start, acceptedUs, at, reason];
}
