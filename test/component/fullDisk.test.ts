/** The presence store on a file system that really fills: it says so, and heals by itself. */
import { closeSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import t, { type Test } from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import type { Row } from '../../src/registrar/store/presenceRules.ts';
import { SqliteFile } from '../../src/registrar/store/sqliteFile.ts';
import { StoreError, type StoreFault } from '../../src/registrar/store/store.ts';
import { smallDisk, whyNoSmallDisk } from '../helpers/processes/smallDisk.ts';

const NOW = 1_700_000_000_000;
const MiB = 1_048_576;
const limits = makeLimits({ storeReserveBytes: 2 * MiB });

/** Rows of the same devices again and again: the log grows, and the file hardly. */
function rows(count: number, seq: number): Row[] {
  return Array.from({ length: count }, (_, at) => ({
    device: `device-${at}`,
    seq,
    online: seq % 2 === 1,
    connection: `connection-${at}-${seq}`,
    acceptor: 'acceptor-1',
    start: 1,
    acceptedUs: seq,
    at: NOW,
    reason: 'connected' as const,
  }));
}

function faultOf(work: () => unknown): StoreFault | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return error.fault;
  }
}

function fill(file: string): void {
  const descriptor = openSync(file, 'w');
  const chunk = Buffer.alloc(64 * 1_024, 1);
  try {
    for (;;) writeSync(descriptor, chunk);
  } catch (error) {
    t.match(error, { code: 'ENOSPC' });
  } finally {
    closeSync(descriptor);
  }
}

/** Somebody who reads the file, and does not end. */
function reader(folder: string): DatabaseSync {
  const database = new DatabaseSync(join(folder, 'presence.db'), { readOnly: true });
  database.exec('BEGIN; SELECT count(*) FROM presence');
  database.prepare('SELECT count(*) FROM presence').get();
  return database;
}

const skip = whyNoSmallDisk() ?? false;

function onSmallDisk(promise: string, MiBs: number, body: (t: Test, folder: string) => void): void {
  t.test(`store: ${promise}`, { skip }, async (t) => {
    body(t, smallDisk(t, MiBs));
  });
}

onSmallDisk(
  'a log that fills the disk while somebody reads heals when they end',
  12,
  (t, folder) => {
    const store = new SqliteFile(folder, NOW, { limits });
    store.begin('node-1');
    store.write({ rows: rows(500, 1), events: [], settledTo: 0 });
    const other = reader(folder);
    let seq = 1;
    let fault: StoreFault | undefined;
    while (fault === undefined) {
      seq += 1;
      fault = faultOf(() => store.write({ rows: rows(500, seq), events: [], settledTo: 0 }));
    }
    t.equal(fault, 'full');
    t.ok(store.walBytes > 5 * MiB, `${store.walBytes} bytes of log`);
    const write = () => store.write({ rows: rows(500, seq), events: [], settledTo: 0 });
    t.equal(faultOf(write), 'full', 'and again');
    t.match(store.read(['device-7']), [{ seq: seq - 1 }], 'what was written can be read');

    other.close();

    t.equal(faultOf(write), undefined, 'healed');
    t.match(store.read(['device-7']), [{ seq }]);
    t.ok(store.walBytes < MiB, `${store.walBytes} bytes of log`);
    t.equal(statSync(join(folder, 'presence.reserve')).size, 2 * MiB, 'the reserve is there again');
    store.close();
  },
);

onSmallDisk('a log that must make the file grow has the reserve for it', 12, (t, folder) => {
  const store = new SqliteFile(folder, NOW, { limits });
  store.begin('node-1');
  const other = reader(folder);
  let device = 0;
  let fault: StoreFault | undefined;
  const write = () => {
    const next = rows(100, 1).map((row) => ({ ...row, device: `${device}-${row.device}` }));
    store.write({ rows: next, events: [], settledTo: 0 });
  };
  for (; fault === undefined; device += 1) fault = faultOf(write);
  t.equal(fault, 'held', 'before the file would have to grow by more than the reserve');
  fill(join(folder, 'filler'));
  t.ok(['held', 'full'].includes(faultOf(write) ?? ''));

  other.close();

  t.equal(faultOf(write), undefined, 'healed, though not one byte of the disk was free');
  t.equal(store.page('', 99_999).length, device * 100);
  t.equal(statSync(join(folder, 'presence.reserve')).size, 2 * MiB, 'the reserve is there again');
  store.close();
});

onSmallDisk('a disk that others fill: full, and well again when there is room', 12, (t, folder) => {
  const store = new SqliteFile(folder, NOW, { limits });
  store.begin('node-1');
  fill(join(folder, 'filler'));
  let fault: StoreFault | undefined;
  for (let seq = 1; fault === undefined; seq += 1) {
    fault = faultOf(() => store.write({ rows: rows(500, seq), events: [], settledTo: 0 }));
    t.ok(seq < 1_000);
  }
  t.equal(fault, 'full');

  rmSync(join(folder, 'filler'));

  const write = () => store.write({ rows: rows(500, 9_999), events: [], settledTo: 0 });
  t.equal(faultOf(write), undefined);
  store.close();
});

onSmallDisk('a start on a full disk says full; one with what it had goes on', 12, (t, folder) => {
  fill(join(folder, 'filler'));
  t.throws(() => new SqliteFile(folder, NOW, { limits }), {
    fault: 'full',
    message: /^the presence store [^\n]* cannot be written: the disk is full[^\n]*$/,
  });
  rmSync(join(folder, 'filler'));

  const store = new SqliteFile(folder, NOW, { limits });
  store.begin('node-1');
  store.write({ rows: rows(500, 1), events: [], settledTo: 0 });
  store.close();
  fill(join(folder, 'filler'));
  // Nothing is free: SQLite's index of the log has no room but the reserve's, which is missed then.
  t.equal(
    faultOf(() => new SqliteFile(folder, NOW, { limits })),
    'full',
  );
  rmSync(join(folder, 'filler'));
  const again = new SqliteFile(folder, NOW, { limits });
  t.equal(again.page('', 999).length, 500);
  again.close();
});

onSmallDisk('a start on a disk that has no room for a folder says full', 1, (t, folder) => {
  const limits = makeLimits({ storeReserveBytes: MiB });
  const start = () => new SqliteFile(join(folder, 'data'), NOW, { limits });
  t.equal(faultOf(start), 'full');
});

t.test('store: a log that others hold beyond storeWalBytesMax: held, and well again', async (t) => {
  const folder = t.testdir({});
  const bounds = makeLimits({ storeWalBytesMax: MiB, storeReserveBytes: 8 * MiB });
  const store = new SqliteFile(folder, NOW, { limits: bounds });
  store.begin('node-1');
  store.write({ rows: rows(500, 1), events: [], settledTo: 0 });
  const other = reader(folder);
  let seq = 1;
  const write = () => store.write({ rows: rows(500, seq), events: [], settledTo: 0 });
  for (let fault: StoreFault | undefined; fault === undefined; seq += 1) fault = faultOf(write);
  t.throws(write, {
    fault: 'held',
    message:
      /its write-ahead log of \d+ bytes cannot be merged while another program reads the file/,
  });
  t.ok(store.walBytes < 1.5 * MiB, `${store.walBytes} bytes of log`);

  other.close();

  t.equal(faultOf(write), undefined);
  t.ok(store.walBytes < MiB, `${store.walBytes} bytes of log`);
  store.close();
});
