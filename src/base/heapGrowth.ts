/**
 * HeapGrowth: how much V8's old space may grow between two collections of its garbage.
 * From: child.ts, once a process is ready; stormHeap.ts, when many TLS links come at once.
 * To: a flag of V8, which looks at it at the end of each collection.
 * Bound: a fifth; in a storm, four times as much, as V8's own bound is. V8 takes some MiB at least.
 * What the operator has set by a flag stays.
 */
import { isGiven, setV8Flag } from './v8.ts';

const GROWTH = '--heap-growing-percent';
const PERCENT = 20;
const STORM_PERCENT = 300;

/** A flag is the whole process's, and so is what it was set to. */
let state: 'free' | 'held' | 'storm' = 'free';

/**
 * From now on the old space grows by a fifth: if it grew faster, V8 would collect later, and the
 * garbage of a storm would stay longer.
 */
export function holdHeap(): void {
  if (state !== 'free' || isGiven(GROWTH, process.execArgv)) return;
  state = 'held';
  setV8Flag(`${GROWTH}=${PERCENT}`);
}

/**
 * While TLS links come, V8 counts what OpenSSL may need of each, some 50 kB, as if that were
 * garbage of its own: a fifth of a small heap is 150 links, and then it marks all others.
 */
export function loosenHeap(isStorm: boolean): void {
  if (state === 'free' || isStorm === (state === 'storm')) return;
  state = isStorm ? 'storm' : 'held';
  setV8Flag(`${GROWTH}=${isStorm ? STORM_PERCENT : PERCENT}`);
}
