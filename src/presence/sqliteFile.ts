/**
 * SqliteFile: the store in one SQLite file, every call synchronous; all SQL is here.
 * From: sqliteThread.ts; preflight and `owsla presence`, which look while no node runs.
 * To: `presence.db` in the data folder, in WAL mode, synced with every transaction; and
 * `presence.lock` beside it, held while this is open and let go by the kernel at any end.
 * Bound: presence.db stays readable to others (sqlite3 and its .backup); writers are kept out.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { CommandRow, OpenCommands, StoredOutcome } from '../command/rows.ts';
import type { PresenceReason } from '../errors.ts';
import { LivedTime } from './livedTime.ts';
import { eventOf, type Row } from './rules.ts';
import { SqliteCommands } from './sqliteCommands.ts';
import { SCHEMA, upgrade } from './sqliteSchema.ts';
import { type Batch, type Opened, type OutboxEvent, StoreError, type StoreFault } from './store.ts';

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

/** SQLite's result codes, without their extensions: https://sqlite.org/rescode.html */
const BUSY = 5;
const FAULTS: Readonly<Record<number, readonly [StoreFault, string]>> = {
  5: ['unusable', 'is locked by another program'],
  8: ['read-only', 'cannot be written: it, its folder or its file system is read-only'],
  11: ['corrupt', 'is corrupt; restore it from a backup, or start with another data folder'],
  13: ['full', 'cannot be written: the disk is full'],
  14: ['unusable', 'cannot be opened; its folder must be there and writable'],
  26: ['corrupt', 'is no SQLite file; restore it from a backup, or remove it'],
};

/** How long a program that reads the file, such as a backup, may hold up a write. */
const BUSY_MS = 2_000;

/** How many rows `restore` changes between two looks at the file. */
const RESTORE_ROWS = 1_000;

export class SqliteFile {
  readonly #file: string;
  readonly #lock: DatabaseSync;
  readonly #database: DatabaseSync;
  readonly #sql: Statements;
  readonly #commands: SqliteCommands;
  readonly #lived: LivedTime;
  #outbox: number;

  /**
   * Opens, and creates what is not there, with the epoch `epoch`. Throws a StoreError; nothing is
   * left open then. `now`: ms of a monotonic clock.
   */
  constructor(folder: string, epoch: number, now: () => number = () => performance.now()) {
    this.#file = join(folder, 'presence.db');
    makeFolder(folder);
    this.#lock = takeLock(folder);
    try {
      this.#database = this.#guard(() => openDatabase(this.#file, epoch));
    } catch (error) {
      this.#lock.close();
      throw error;
    }
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, this.#database.prepare(sql)]);
    this.#sql = Object.fromEntries(prepared) as Statements;
    this.#commands = new SqliteCommands(this.#database);
    this.#lived = new LivedTime(this.#meta('lived'), now);
    this.#outbox = this.#count().events;
  }

  /** The epoch; `begin` is what makes a node its owner. */
  get epoch(): number {
    return this.#meta('epoch');
  }

  begin(node: string): Opened {
    return this.#transaction(() => {
      const isKnown = this.#sql.getMeta.get('node')?.value === node;
      const start = this.#meta('start') + (isKnown ? 0 : 1);
      // Written in any case: a file that cannot be written shows it here.
      this.#sql.setMeta.run('node', node);
      this.#sql.setMeta.run('start', start);
      const { events, last } = this.#count();
      const { epoch } = this;
      return { epoch, start, floor: this.#meta('floor'), lastEvent: last, outbox: events };
    });
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

  write({ rows, events, settledTo, commands }: Batch): number {
    const left = this.#transaction((lived) => {
      for (const row of rows) this.#sql.write.run(...fieldsOf(row), lived);
      for (const { id, device, online, body } of events) {
        this.#sql.addEvent.run(id, device, Number(online), body);
      }
      if (commands) this.#commands.write(commands, lived);
      return this.#outbox + events.length - Number(this.#sql.settle.run(settledTo).changes);
    });
    this.#outbox = left;
    return left;
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
   * say of every device that it is offline. Its commands are forgotten: some may have been acted
   * upon since. Gives the new epoch and the number of devices.
   */
  restore(now: number): { epoch: number; devices: number } {
    return this.#transaction((lived) => {
      const epoch = Math.max(now, this.epoch + 1);
      this.#sql.setMeta.run('epoch', epoch);
      this.#sql.settle.run(this.#count().last);
      this.#commands.clear();
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
  }

  close(): void {
    this.#database.close();
    this.#lock.close();
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
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        const lived = this.#lived.ms;
        const result = work(lived);
        this.#sql.setMeta.run('lived', lived);
        this.#database.exec('COMMIT');
        return result;
      } catch (error) {
        // SQLite itself has rolled back after some errors.
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
        throw error;
      }
    });
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw faultOf(error, this.#file);
    }
  }
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StoreError('unusable', `cannot make the data folder ${folder} (${code})`);
  }
}

/** An SQLite file only for its lock, which works the same on every system that SQLite knows. */
function takeLock(folder: string): DatabaseSync {
  const file = join(folder, 'presence.lock');
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(file, { timeout: 0 });
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT');
    return lock;
  } catch (error) {
    lock?.close();
    if ((error as { errcode?: number }).errcode !== BUSY) throw faultOf(error, file);
    throw new StoreError(
      'locked',
      `the data folder ${folder} belongs to another node that runs; give this one its own`,
    );
  }
}

function openDatabase(file: string, epoch: number): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: BUSY_MS });
  try {
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
      PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;`);
    const schema = Number(database.prepare('PRAGMA user_version').get()?.user_version);
    if (schema > SCHEMA) {
      throw new StoreError(
        'newer',
        `${file} was written by a newer Owsla (schema ${schema}, this one knows ${SCHEMA}); use that one, or another data folder`,
      );
    }
    if (schema < SCHEMA) upgrade(database, schema, epoch);
    const told = database.prepare('PRAGMA quick_check(1)').get()?.quick_check;
    if (told !== 'ok') throw new StoreError('corrupt', `${file} is corrupt: ${told}`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** What went wrong with `file`, as one sentence. Our own bugs pass through as they are. */
function faultOf(error: unknown, file: string): unknown {
  const code = (error as { errcode?: number }).errcode;
  if (code === undefined) return error;
  const [fault, what] = FAULTS[code & 0xff] ?? ['unusable', 'cannot be used'];
  return new StoreError(fault, `the presence store ${file} ${what} (${(error as Error).message})`);
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
