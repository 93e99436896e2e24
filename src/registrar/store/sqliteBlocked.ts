/**
 * SqliteBlocked: the devices that an operator keeps out, in the same SQLite file as presence.
 * From: sqliteFile.ts, within its transactions and guards.  To: one table, all its SQL here.
 * Bound: what `block` is given as `max`.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { BlockedDevice, Blocking } from './blockRows.ts';

export const CREATE_BLOCKED = `
  CREATE TABLE blocked (
    device TEXT PRIMARY KEY,
    since INTEGER NOT NULL,
    note TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

const SQL = {
  find: 'SELECT device, since, note FROM blocked WHERE device = ?',
  count: 'SELECT count(*) AS rows FROM blocked',
  add: 'INSERT INTO blocked (device, since, note) VALUES (?, ?, ?)',
  remove: 'DELETE FROM blocked WHERE device = ?',
  page: 'SELECT device, since, note FROM blocked WHERE device > ? ORDER BY device LIMIT ?',
} as const;

export class SqliteBlocked {
  readonly #sql: Record<keyof typeof SQL, StatementSync>;

  constructor(database: DatabaseSync) {
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, database.prepare(sql)]);
    this.#sql = Object.fromEntries(prepared);
  }

  block(row: BlockedDevice, max: number): Blocking {
    const { device, since, note } = row;
    const known = this.#find(device);
    if (known !== undefined) return { outcome: 'already', row: known };
    if (Number(this.#sql.count.get()?.rows) >= max) return { outcome: 'full' };
    this.#sql.add.run(device, since, note);
    return { outcome: 'blocked', row };
  }

  unblock(device: string): BlockedDevice | undefined {
    const known = this.#find(device);
    if (known !== undefined) this.#sql.remove.run(device);
    return known;
  }

  page(after: string, limit: number): BlockedDevice[] {
    return this.#sql.page.all(after, limit).map(asBlocked);
  }

  #find(device: string): BlockedDevice | undefined {
    const found = this.#sql.find.get(device);
    return found && asBlocked(found);
  }
}

function asBlocked(found: Record<string, unknown>): BlockedDevice {
  return { ...(found as unknown as BlockedDevice) };
}
