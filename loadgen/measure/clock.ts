/**
 * Clock: one monotonic time in milliseconds that manager and workers share.
 * From: CLOCK_MONOTONIC, which Linux gives to every process alike.
 * To: every planned time, so that "t = 12.5 s" means the same moment in all workers.
 * Bound: only comparable on one machine, within one boot.
 */

// performance.now() is several times cheaper than hrtime.bigint(), but counts from the process's
// start: the difference, taken once, joins them.
const BASE_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Monotonic milliseconds, with fractions, the same in every process of this machine. */
export function nowMs(): number {
  return BASE_MS + performance.now();
}
