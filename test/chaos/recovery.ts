/**
 * Recovery: how long after a fault everything was back at full rate. Pure.
 * From: every message that was due, by time (books.ts).  To: milliseconds from the fault's end.
 * Bound: WATCH_MS; what is not well by then counts as never.
 */
import type { Planned } from './books.ts';

const SLICE_MS = 250;
/** That many slices in a row must be well. */
const SLICES = 4;
export const WATCH_MS = 60_000;
/** Beyond this share of it in other hands a machine cannot be asked for the full rate. */
const FOREIGN_SHARE_MAX = 0.1;
/** One message in a hundred may be slow for reasons of its own. */
const OK_SHARE_MIN = 0.99;

/**
 * Milliseconds from `endedAt` until a second begins in which 99 % of all messages due were sent
 * and answered well within `promptMs`. Infinity when that does not come about.
 * `planned` is in the order of `at`.
 */
export function backAfter(planned: readonly Planned[], endedAt: number, promptMs: number): number {
  let inRow = 0;
  let at = firstAfter(planned, endedAt);
  for (let sinceMs = 0; sinceMs < WATCH_MS; sinceMs += SLICE_MS) {
    const sliceEnd = endedAt + sinceMs + SLICE_MS;
    let due = 0;
    let ok = 0;
    for (let message = planned[at]; message && message.at < sliceEnd; message = planned[at]) {
      due += 1;
      if (message.okAt - message.at <= promptMs) ok += 1;
      at += 1;
    }
    inRow = due > 0 && ok >= due * OK_SHARE_MIN ? inRow + 1 : 0;
    if (inRow === SLICES) return sinceMs - (SLICES - 1) * SLICE_MS;
  }
  return Number.POSITIVE_INFINITY;
}

/**
 * Was this too slow? Only a machine that had time for the load can show that: elsewhere the load
 * that came up meanwhile waits, however soon all is whole again. That is detection.ts's to judge.
 */
export function isSlow(backMs: number, foreign: number, backMsMax: number): boolean {
  return backMs > backMsMax && !isStarved(foreign);
}

/** Did others take so much of the machine, 0 to 1, that its full rate says nothing? */
export function isStarved(foreign: number): boolean {
  return foreign > FOREIGN_SHARE_MAX;
}

/** Index of the first message that was due at or after `time`. */
function firstAfter(planned: readonly Planned[], time: number): number {
  let low = 0;
  let high = planned.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((planned[middle]?.at ?? 0) < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
