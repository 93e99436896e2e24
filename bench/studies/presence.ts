/**
 * Presence: how many link changes a second can the registrar record, and what does each cost?
 * Links come and go as fast as they are recorded, in SQLite on this machine's disk, synced with
 * every transaction; the broker is left out. Five runs of so many: changes a second, CPU-µs of the
 * process per change (its thread included), what a transaction costs.
 * `node bench/studies/presence.ts [--devices 20000] [--changes 40000]`
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { v4 as uuid } from 'uuid';
import { systemClock } from '../../src/base/clock.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { makePresenceCounters } from '../../src/base/metrics.ts';
import { noTrace } from '../../src/base/trace.ts';
import { Recorder } from '../../src/registrar/presence/recorder.ts';
import { Sqlite } from '../../src/registrar/store/sqlite.ts';
import type { Batch } from '../../src/registrar/store/store.ts';
import { options } from '../lib/options.ts';
import { heading, row, spread } from '../lib/stats.ts';

const { devices, changes } = options({ devices: 20_000, changes: 40_000 });
const ACCEPTOR = uuid();
const RUNS = 5;

/** Counts what each transaction waits for. */
class Timed extends Sqlite {
  writes = 0;
  writeMs = 0;

  override async write(batch: Batch): Promise<number> {
    const began = performance.now();
    const left = await super.write(batch);
    this.writes += 1;
    this.writeMs += performance.now() - began;
    return left;
  }
}

const folder = mkdtempSync(join(tmpdir(), 'owsla-bench-'));
const store = new Timed(folder);
const limits = makeLimits();
let settled = 0;
const registrar = new Recorder({
  store,
  node: uuid(),
  limits,
  clock: systemClock,
  trace: noTrace,
  counters: makePresenceCounters(),
  onOpen: () => {},
  onCommit: (events) => {
    // As if the broker had confirmed at once.
    settled = events.at(-1)?.id ?? settled;
  },
  onTakeover: () => {},
  onClone: () => {},
  settledTo: () => settled,
});
registrar.onNode([ACCEPTOR]);
await registrar.work();

const open = new Map<string, string>();

/** The `n`th change: a link of the next device begins, or ends if it has one. */
function change(n: number): void {
  const device = `device-${n % devices}`;
  const known = open.get(device);
  if (known !== undefined) {
    open.delete(device);
    const reason = 'peer-fin' as const;
    registrar.down(ACCEPTOR, { device, connection: known, at: Date.now(), reason });
    return;
  }
  const connection = uuid();
  open.set(device, connection);
  const acceptedUs = systemClock.us();
  registrar.up({ acceptor: ACCEPTOR, device, connection, acceptedUs, at: Date.now() });
}

async function run(count: number, from: number): Promise<void> {
  for (let done = 0; done < count; ) {
    for (; done < count && !registrar.isFull(); done += 1) change(from + done);
    await registrar.work();
  }
  while (await registrar.work());
}

// The rows of all devices are there, and all code is warm.
await run(devices, 0);
const figures = {
  rate: [] as number[],
  cpu: [] as number[],
  size: [] as number[],
  ms: [] as number[],
};
for (let round = 0; round < RUNS; round += 1) {
  const before = { writes: store.writes, writeMs: store.writeMs, cpu: process.cpuUsage() };
  const began = performance.now();
  await run(changes, devices * (round + 1));
  const tookMs = performance.now() - began;
  const { user, system } = process.cpuUsage(before.cpu);
  const made = store.writes - before.writes;
  figures.rate.push((changes / tookMs) * 1_000);
  figures.cpu.push((user + system) / changes);
  figures.size.push(changes / made);
  figures.ms.push((store.writeMs - before.writeMs) / made);
}

console.log(heading(`presence, ${devices} devices, ${changes} changes`));
console.log(row('  changes a second', spread(figures.rate)));
console.log(row('  CPU per change', spread(figures.cpu), 'µs'));
console.log(row('  changes per transaction', spread(figures.size)));
console.log(row('  one transaction', spread(figures.ms), 'ms'));
await store.close();
rmSync(folder, { recursive: true });
