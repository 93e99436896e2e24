/**
 * SqliteSchema: the tables of the store's file, and how a file of an older Owsla gets them.
 * From: sqliteFile.ts, with a file that it has just opened.  To: that file, all of it or nothing.
 * Bound: one step list per schema; a schema that was once released never changes again.
 */
import type { DatabaseSync } from 'node:sqlite';
import { CREATE_BLOCKED } from './sqliteBlocked.ts';
import { ADD_TRACE_CONTEXT, CREATE_COMMANDS } from './sqliteCommands.ts';
import { CREATE_WILLS } from './sqliteWills.ts';

const CREATE = `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE presence (
    device TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    online INTEGER NOT NULL,
    connection TEXT NOT NULL,
    acceptor TEXT NOT NULL,
    start INTEGER NOT NULL,
    acceptedUs INTEGER NOT NULL,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX presenceOnline ON presence (acceptor, device) WHERE online = 1;
  CREATE INDEX presenceOffline ON presence (at) WHERE online = 0;
  CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    online INTEGER NOT NULL,
    body TEXT NOT NULL
  ) STRICT;
`;

/**
 * Rows age by the store's own count of lived time, `lived` in `meta`: not by the wall clock, which
 * people set. What an older file holds begins at 0, and so is as old as that count from now on.
 */
const AGE_BY_LIVED_TIME = `
  ALTER TABLE presence ADD COLUMN lived INTEGER NOT NULL DEFAULT 0;
  DROP INDEX presenceOffline;
  CREATE INDEX presenceOffline ON presence (lived) WHERE online = 0;
  ALTER TABLE commands ADD COLUMN lived INTEGER NOT NULL DEFAULT 0;
  DROP INDEX commandsEnded;
  CREATE INDEX commandsEnded ON commands (lived) WHERE state NOT IN ('waiting', 'taken');
  CREATE INDEX commandsTaken ON commands (lived) WHERE state = 'taken';
`;

/**
 * What names a backend's queue or message is its bytes, a character for each. An older
 * file has the text that they are in UTF-8.
 */
function toBytes(database: DatabaseSync): void {
  database.function('bytesOf', (text) => Buffer.from(String(text)).toString('latin1'));
  for (const table of ['commands', 'outcomes']) {
    database.exec(`UPDATE ${table}
      SET replyTo = bytesOf(replyTo), correlationId = bytesOf(correlationId)`);
  }
}

/** SQL; or, for what SQL cannot say, code that works on the database within the transaction. */
type Step = string | ((database: DatabaseSync) => void);

/** What each schema adds to the one before; the first makes the file. */
const UPGRADES: readonly (readonly Step[])[] = [
  [CREATE],
  [CREATE_COMMANDS],
  [AGE_BY_LIVED_TIME, toBytes],
  [CREATE_BLOCKED],
  [ADD_TRACE_CONTEXT],
  [CREATE_WILLS],
];

/** Rises when an older Owsla could not read the file any more. */
export const SCHEMA = UPGRADES.length;

/**
 * Bring `database`, of schema `from` (0: empty), to the present one, in one transaction: a kill in
 * between leaves the file as it was. A new one gets `epoch`.
 */
export function upgrade(database: DatabaseSync, from: number, epoch: number): void {
  database.exec('BEGIN IMMEDIATE');
  for (const step of UPGRADES.slice(from).flat()) {
    if (typeof step === 'string') database.exec(step);
    else step(database);
  }
  if (from === 0) {
    const set = database.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)');
    set.run('epoch', epoch);
    set.run('start', 0);
    set.run('floor', 0);
    set.run('lived', 0);
  }
  database.exec(`PRAGMA user_version = ${SCHEMA}; COMMIT`);
}
