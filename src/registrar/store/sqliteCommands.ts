/**
 * SqliteCommands: kept commands and their outcomes, in the same SQLite file as presence.
 * From: sqliteFile.ts, within its transactions and guards.  To: two tables, all their SQL here.
 * Bound: a transaction forgets at most FORGET_ROWS commands that have ended.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { TraceContext } from '../../base/traceContext.ts';
import type { CommandRow, CommandWrites, OpenCommands, StoredOutcome } from './commandRows.ts';

const FORGET_ROWS = 20_000;

const LIVE = `state IN ('waiting', 'taken')`;

export const CREATE_COMMANDS = `
  CREATE TABLE commands (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    device TEXT NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    due INTEGER NOT NULL,
    replyTo TEXT NOT NULL,
    correlationId TEXT NOT NULL,
    state TEXT NOT NULL,
    status INTEGER NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX commandsWaiting ON commands (device, id) WHERE state = 'waiting';
  CREATE INDEX commandsDue ON commands (due) WHERE ${LIVE};
  CREATE INDEX commandsEnded ON commands (at) WHERE NOT ${LIVE};
  CREATE TABLE outcomes (
    id INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    device TEXT NOT NULL,
    key TEXT NOT NULL,
    replyTo TEXT NOT NULL,
    correlationId TEXT NOT NULL,
    status INTEGER NOT NULL,
    reason TEXT NOT NULL,
    payload BLOB NOT NULL
  ) STRICT;
`;

/** '': none, as in what an older Owsla wrote. */
export const ADD_TRACE_CONTEXT = `
  ALTER TABLE commands ADD COLUMN traceparent TEXT NOT NULL DEFAULT '';
  ALTER TABLE commands ADD COLUMN tracestate TEXT NOT NULL DEFAULT '';
  ALTER TABLE outcomes ADD COLUMN traceparent TEXT NOT NULL DEFAULT '';
  ALTER TABLE outcomes ADD COLUMN tracestate TEXT NOT NULL DEFAULT '';
`;

const COLUMNS = `id, key, device, topic, payload, due, replyTo, correlationId,
  traceparent, tracestate, state, status, reason, at`;

const SQL = {
  live: `SELECT device, sum(state = 'waiting') AS waiting, sum(state = 'taken') AS taken
    FROM commands WHERE ${LIVE} GROUP BY device`,
  lastCommand: 'SELECT coalesce(max(id), 0) AS last FROM commands',
  lastOutcome: 'SELECT coalesce(max(id), 0) AS last FROM outcomes',
  find: `SELECT ${COLUMNS} FROM commands WHERE key = ?`,
  waiting: `SELECT ${COLUMNS} FROM commands
    WHERE state = 'waiting' AND device = ? AND id > ? ORDER BY id LIMIT ?`,
  due: `SELECT ${COLUMNS} FROM commands WHERE ${LIVE} AND due <= ? ORDER BY due LIMIT ?`,
  overdue: `SELECT ${COLUMNS} FROM commands
    WHERE state = 'taken' AND lived <= ? AND due > ? ORDER BY lived LIMIT ?`,
  write: `INSERT INTO commands (${COLUMNS}, lived)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET
      payload = excluded.payload, due = excluded.due, state = excluded.state,
      status = excluded.status, reason = excluded.reason, at = excluded.at, lived = excluded.lived`,
  forget: `DELETE FROM commands WHERE id IN
    (SELECT id FROM commands WHERE NOT ${LIVE} AND lived < ? ORDER BY lived LIMIT ${FORGET_ROWS})`,
  addOutcome: `INSERT INTO outcomes
    (id, type, device, key, replyTo, correlationId, traceparent, tracestate,
      status, reason, payload)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  outcomes: 'SELECT * FROM outcomes WHERE id > ? ORDER BY id LIMIT ?',
  settle: 'DELETE FROM outcomes WHERE id <= ?',
  clearCommands: 'DELETE FROM commands',
  clearOutcomes: 'DELETE FROM outcomes',
} as const;

type Statements = Record<keyof typeof SQL, StatementSync>;
type Found = Record<string, unknown>;

export class SqliteCommands {
  readonly #sql: Statements;

  constructor(database: DatabaseSync) {
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, database.prepare(sql)]);
    this.#sql = Object.fromEntries(prepared) as Statements;
  }

  open(): OpenCommands {
    const devices = this.#sql.live.all() as unknown as OpenCommands['devices'];
    const lastCommand = Number(this.#sql.lastCommand.get()?.last);
    const lastOutcome = Number(this.#sql.lastOutcome.get()?.last);
    return { devices, lastCommand, lastOutcome };
  }

  find(keys: readonly string[]): CommandRow[] {
    return keys.flatMap((key) => this.#sql.find.all(key).map(asCommand));
  }

  waiting(of: readonly { device: string; after: number; limit: number }[]): CommandRow[] {
    return of.flatMap(({ device, after, limit }) =>
      this.#sql.waiting.all(device, after, limit).map(asCommand),
    );
  }

  /** Those past their deadline at `now`; and those taken before `takenBefore`, in lived time. */
  due(now: number, takenBefore: number, limit: number): CommandRow[] {
    const due = this.#sql.due.all(now, limit);
    const overdue = this.#sql.overdue.all(takenBefore, now, limit - due.length);
    return [...due, ...overdue].map(asCommand);
  }

  outcomes(after: number, limit: number): StoredOutcome[] {
    return this.#sql.outcomes.all(after, limit).map(asOutcome);
  }

  /** `lived`: the store's lived time, by which rows age. */
  write({ rows, outcomes, settledTo, forgetAgeMs }: CommandWrites, lived: number): void {
    for (const row of rows) {
      const { id, key, device, topic, payload, due, replyTo, correlationId } = row;
      const { state, status, reason, at } = row;
      const where = [replyTo, correlationId, ...columnsOf(row)] as const;
      this.#sql.write.run(
        id,
        key,
        device,
        topic,
        payload,
        due,
        ...where,
        state,
        status,
        reason,
        at,
        lived,
      );
    }
    for (const outcome of outcomes) {
      const { id, type, device, key, replyTo, correlationId, status, reason, payload } = outcome;
      const where = [device, key, replyTo, correlationId, ...columnsOf(outcome)] as const;
      this.#sql.addOutcome.run(id, type, ...where, status, reason, payload);
    }
    this.#sql.settle.run(settledTo);
    if (forgetAgeMs !== undefined) this.#sql.forget.run(lived - forgetAgeMs);
  }

  /** After a restore: what a backup holds may have been acted upon since. */
  clear(): void {
    this.#sql.clearCommands.run();
    this.#sql.clearOutcomes.run();
  }
}

function asCommand(found: Found): CommandRow {
  const { traceparent, tracestate, ...row } = found;
  const { payload, ...rest } = row as unknown as CommandRow;
  return { ...rest, payload: bytesOf(payload), ...contextIn(traceparent, tracestate) };
}

function asOutcome(found: Found): StoredOutcome {
  const { traceparent, tracestate, ...row } = found;
  const { payload, ...rest } = row as unknown as StoredOutcome;
  const context = contextIn(traceparent, tracestate);
  return { ...rest, payload: bytesOf(payload), isKept: true, ...context };
}

function columnsOf({ context }: { readonly context?: TraceContext }): readonly [string, string] {
  return [context?.traceparent ?? '', context?.tracestate ?? ''];
}

function contextIn(traceparent: unknown, tracestate: unknown): { context?: TraceContext } {
  if (traceparent === '') return {};
  return { context: { traceparent: String(traceparent), tracestate: String(tracestate) } };
}

/** SQLite gives plain bytes, and so does a message between threads: the same memory as a Buffer. */
export function bytesOf(payload: unknown): Buffer {
  const { buffer, byteOffset, byteLength } = payload as Uint8Array<ArrayBuffer>;
  return Buffer.from(buffer, byteOffset, byteLength);
}
