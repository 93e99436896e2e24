/**
 * SqliteWills: wills of links, and those to be published, in the same SQLite file as presence.
 * From: sqliteFile.ts, within its transactions and guards.  To: two tables, all their SQL here.
 * Bound: `willsBytesMax` bytes in both tables together: a will that does not fit is not kept, and
 * counted. One that moves from the first table to the second needs no more room.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { bytesOf } from './sqliteCommands.ts';
import type {
  DueWills,
  StoredWill,
  WillChange,
  WillEvent,
  WillFigures,
  WillHead,
  WillWrites,
} from './willRows.ts';

/** `due`: in the store's lived time; null: its link is open. */
export const CREATE_WILLS = `
  CREATE TABLE wills (
    connection TEXT PRIMARY KEY,
    device TEXT NOT NULL,
    hash TEXT NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    delayMs INTEGER NOT NULL,
    rules TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    due INTEGER,
    reason TEXT,
    at INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX willsOfDevice ON wills (device);
  CREATE INDEX willsDue ON wills (due) WHERE due IS NOT NULL;
  CREATE TABLE willOutbox (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    connection TEXT NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL,
    bytes INTEGER NOT NULL
  ) STRICT;
`;

const SQL = {
  kept: 'SELECT count(*) AS rows, count(due) AS due, coalesce(sum(bytes), 0) AS bytes FROM wills',
  toSend: `SELECT count(*) AS rows, coalesce(max(id), 0) AS last, coalesce(sum(bytes), 0) AS bytes
    FROM willOutbox`,
  head: `SELECT device, connection, hash, delayMs, rules, due IS NOT NULL AS isWaiting
    FROM wills WHERE device = ?`,
  find: 'SELECT bytes, due IS NOT NULL AS isWaiting FROM wills WHERE connection = ?',
  keep: `INSERT OR REPLACE INTO wills
    (connection, device, hash, topic, payload, delayMs, rules, bytes)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  drop: 'DELETE FROM wills WHERE connection = ?',
  wait: `UPDATE wills SET due = ? + ?, delayMs = ?, reason = coalesce(reason, ?),
    at = coalesce(at, ?) WHERE connection = ?`,
  publish: `INSERT INTO willOutbox (id, device, connection, topic, payload, reason, at, bytes)
    SELECT ?, device, connection, topic, payload, coalesce(reason, ?), coalesce(at, ?), bytes
    FROM wills WHERE connection = ?`,
  due: 'SELECT device, connection FROM wills WHERE due <= ? ORDER BY due LIMIT ?',
  next: 'SELECT min(due) AS due FROM wills WHERE due > ?',
  outbox: `SELECT id, device, connection, topic, payload, reason, at
    FROM willOutbox WHERE id > ? ORDER BY id LIMIT ?`,
  settled: `SELECT count(*) AS rows, coalesce(sum(bytes), 0) AS bytes
    FROM willOutbox WHERE id <= ?`,
  settle: 'DELETE FROM willOutbox WHERE id <= ?',
  clear: 'DELETE FROM wills',
  clearOutbox: 'DELETE FROM willOutbox',
} as const;

/** A row's other columns, and what SQLite adds to it. */
const ROW_BYTES = 256;

type Figures = { -readonly [F in keyof WillFigures]: WillFigures[F] };

export class SqliteWills {
  readonly #sql: Record<keyof typeof SQL, StatementSync>;
  readonly #bytesMax: number;
  #figures: WillFigures;

  constructor(database: DatabaseSync, bytesMax: number) {
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, database.prepare(sql)]);
    this.#sql = Object.fromEntries(prepared);
    this.#bytesMax = bytesMax;
    this.#figures = this.#count();
  }

  get figures(): WillFigures {
    return this.#figures;
  }

  #count(): WillFigures {
    const kept = this.#sql.kept.get();
    const toSend = this.#sql.toSend.get();
    return {
      kept: Number(kept?.rows),
      waiting: Number(kept?.due),
      outbox: Number(toSend?.rows),
      lastEvent: Number(toSend?.last),
      bytes: Number(kept?.bytes) + Number(toSend?.bytes),
      full: 0,
    };
  }

  read(devices: readonly string[]): WillHead[] {
    return devices.flatMap((device) =>
      this.#sql.head.all(device).map((found) => ({
        ...(found as unknown as WillHead),
        isWaiting: found.isWaiting === 1,
      })),
    );
  }

  due(lived: number, limit: number): DueWills {
    const due = this.#sql.due.all(lived, limit) as unknown as DueWills['due'];
    const next = this.#sql.next.get(lived)?.due;
    return typeof next === 'number' ? { due, nextMs: next - lived } : { due };
  }

  outbox(after: number, limit: number): WillEvent[] {
    return this.#sql.outbox.all(after, limit).map((found) => {
      const { payload, ...event } = found as unknown as WillEvent;
      return { ...event, payload: bytesOf(payload) };
    });
  }

  /** Gives the figures for `committed`. */
  write({ changes, settledTo }: WillWrites, lived: number): WillFigures {
    const figures = { ...this.#figures };
    const settled = this.#sql.settled.get(settledTo);
    this.#sql.settle.run(settledTo);
    figures.outbox -= Number(settled?.rows);
    figures.bytes -= Number(settled?.bytes);
    for (const change of changes) this.#change(change, lived, figures);
    return figures;
  }

  /** What was written is on disk. */
  committed(figures: WillFigures): void {
    this.#figures = figures;
  }

  #change(change: WillChange, lived: number, figures: Figures): void {
    if (change.what === 'keep') this.#keep(change.will, figures);
    else if (change.what === 'drop') figures.bytes -= this.#drop(change.connection, figures);
    else if (change.what === 'wait') {
      const { connection, delayMs, reason, at } = change;
      figures.waiting += this.#sql.find.get(connection)?.isWaiting === 0 ? 1 : 0;
      this.#sql.wait.run(lived, delayMs, delayMs, reason, at, connection);
    } else {
      const { id, connection, reason, at } = change;
      figures.outbox += Number(this.#sql.publish.run(id, reason, at, connection).changes);
      figures.lastEvent = id;
      this.#drop(connection, figures);
    }
  }

  #keep(will: StoredWill, figures: Figures): void {
    const { device, connection, hash, topic, payload, delayMs, rules } = will;
    figures.bytes -= this.#drop(connection, figures);
    const bytes = topic.length + payload.length + ROW_BYTES;
    if (figures.bytes + bytes > this.#bytesMax) {
      figures.full += 1;
      return;
    }
    this.#sql.keep.run(connection, device, hash, topic, payload, delayMs, rules, bytes);
    figures.kept += 1;
    figures.bytes += bytes;
  }

  /** Gives the bytes of the one that there was. */
  #drop(connection: string, figures: Figures): number {
    const found = this.#sql.find.get(connection);
    if (found === undefined) return 0;
    this.#sql.drop.run(connection);
    figures.kept -= 1;
    figures.waiting -= Number(found.isWaiting);
    return Number(found.bytes);
  }

  /** After a restore: since the backup their devices may have said goodbye, or come back. */
  clear(): WillFigures {
    this.#sql.clear.run();
    this.#sql.clearOutbox.run();
    return { ...this.#figures, kept: 0, waiting: 0, outbox: 0, bytes: 0 };
  }
}
