/**
 * Faults of SQLite in a real node: loaded before everything else into each of its processes, by
 * NODE_OPTIONS; obeys the file that OWSLA_TEST_SQLITE names.
 * From: a test, by `SqliteFaults`.  To: node:sqlite, whose own errors these are; and SIGKILL.
 * Bound: without the file, or outside transactions, nothing is different.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync, StatementSync } from 'node:sqlite';

export type Order =
  /** Every transaction fails like this. */
  | { readonly fault: 'full' | 'read-only' | 'corrupt' }
  /** Die before the nth statement of a transaction, or with 'committed' right behind its end. */
  | { readonly kill: 'registrar' | 'tree'; readonly before: number | 'committed' };

const VARIABLE = 'OWSLA_TEST_SQLITE';

/** A test's handle on the nodes that it starts with `env`. */
export class SqliteFaults {
  readonly #folder = mkdtempSync(join(tmpdir(), 'owsla-faults-'));
  readonly #file = join(this.#folder, 'order.json');

  get env(): Record<string, string> {
    return { NODE_OPTIONS: `--import=${import.meta.url}`, [VARIABLE]: this.#file };
  }

  order(order: Order): void {
    writeFileSync(this.#file, JSON.stringify(order));
  }

  /** The order was one to die, and has been obeyed. */
  get isDone(): boolean {
    return !existsSync(this.#file);
  }

  clear(): void {
    rmSync(this.#file, { force: true });
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}

class SqliteError extends Error {
  readonly errcode: number;

  constructor(errcode: number, message: string) {
    super(message);
    this.errcode = errcode;
  }
}

function obey(file: string): void {
  const { exec } = DatabaseSync.prototype;
  const { run } = StatementSync.prototype;
  let order: Order | undefined;
  let statement = -1;

  const die = (who: 'registrar' | 'tree') => {
    // Once: the next process is not to die of it.
    rmSync(file, { force: true });
    process.kill(who === 'tree' ? 0 : process.pid, 'SIGKILL');
    // Signals are delivered a moment later.
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  };
  const step = () => {
    statement += 1;
    if (order && 'kill' in order && order.before === statement) die(order.kill);
  };

  DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string) {
    if (sql.startsWith('BEGIN IMMEDIATE')) {
      order = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Order) : undefined;
      statement = -1;
      const fault = order && 'fault' in order ? order.fault : undefined;
      if (fault === 'corrupt') throw new SqliteError(11, 'database disk image is malformed');
      exec.call(this, `PRAGMA query_only = ${fault === 'read-only' ? 'ON' : 'OFF'}`);
    }
    const isEnd = sql.startsWith('COMMIT');
    if (isEnd) step();
    // Where a full disk shows: the transaction's pages go to the file now.
    if (isEnd && order && 'fault' in order && order.fault === 'full') {
      throw new SqliteError(13, 'database or disk is full');
    }
    exec.call(this, sql);
    if (isEnd && order && 'kill' in order && order.before === 'committed') die(order.kill);
  };
  StatementSync.prototype.run = function (this: StatementSync, ...given: unknown[]) {
    step();
    return Reflect.apply(run, this, given);
  } as typeof run;
}

const file = process.env[VARIABLE];
if (file !== undefined) obey(file);
