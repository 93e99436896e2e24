/**
 * Histogram: how long something took, counted by how long: one addition for each observation.
 * From: the data path and the registrar, which observe.  To: metrics.ts, as a kind of figure.
 * Bound: an array of fixed length for each histogram, made once; nothing is kept per observation.
 *
 * A figure is `[count, count, ..., sum]`: one count for each bound and one for what took longer
 * than all of them, each without those before it; then the sum, in ticks.
 */

export type Histogram = number[];

/** Upper bounds in seconds: of a round trip in one building, and of a command that waits. */
export const BOUNDS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
];

export const TICKS_PER_SECOND = 10_000;
const TICKS_PER_MS = 10;
const MS_PER_SECOND = 1_000;
const US_PER_TICK = 100;

const TICK_BOUNDS = BOUNDS.map((bound) => bound * TICKS_PER_SECOND);
const LAST = BOUNDS.length;
const SUM = BOUNDS.length + 1;

/** All of it at zero. */
export function makeHistogram(): Histogram {
  return new Array(BOUNDS.length + 2).fill(0);
}

/**
 * Now, monotonic, in tenths of a millisecond: of 32 bits, which V8 keeps unboxed in every message,
 * and so it begins anew every 119 hours. Only differences mean something.
 */
export function ticks(nowMs = performance.now()): number {
  return (nowMs * TICKS_PER_MS) | 0;
}

/** It began at `begun` and has just ended. */
export function observeSince(histogram: Histogram, begun: number, now = ticks()): void {
  count(histogram, (now - begun) >>> 0);
}

/** It took so many µs. */
export function observeUs(histogram: Histogram, us: number): void {
  count(histogram, us < 0 ? 0 : us / US_PER_TICK);
}

function count(histogram: Histogram, took: number): void {
  let at = 0;
  while (at < LAST && took > (TICK_BOUNDS[at] as number)) at += 1;
  histogram[at] = (histogram[at] as number) + 1;
  histogram[SUM] = (histogram[SUM] as number) + took;
}

/**
 * The sum of `now` without the sum of `before`: what was observed between the two. Totals never
 * fall: what is less was begun anew, and counts from there.
 */
export function between(
  now: readonly Readonly<Histogram>[],
  before: readonly Readonly<Histogram>[],
): Histogram {
  const sum = (all: readonly Readonly<Histogram>[], at: number) =>
    all.reduce((total, histogram) => total + (histogram[at] ?? 0), 0);
  return makeHistogram().map((_, at) => Math.max(0, sum(now, at) - sum(before, at)));
}

/**
 * The time in ms that a `share` of the observations did not exceed, as Prometheus' own
 * histogram_quantile reckons it: evenly spread between two bounds, and at most the last one.
 */
export function quantileMs(histogram: Readonly<Histogram>, share: number): number {
  const { upTo, count } = cumulative(histogram);
  const rank = share * count;
  const at = upTo.findIndex((observed) => observed >= rank && observed > 0);
  const high = BOUNDS[at] ?? BOUNDS[LAST - 1] ?? 0;
  if (at < 0) return high * MS_PER_SECOND;
  const [low, below] = [BOUNDS[at - 1] ?? 0, upTo[at - 1] ?? 0];
  const part = (rank - below) / (histogram[at] || 1);
  return (low + (high - low) * part) * MS_PER_SECOND;
}

/** As Prometheus has it: counts up to each bound, and of all; the sum in seconds. */
export function cumulative(histogram: Readonly<Histogram>): {
  readonly upTo: readonly number[];
  readonly count: number;
  readonly sum: number;
} {
  let count = 0;
  const upTo = BOUNDS.map((_, at) => {
    count += histogram[at] ?? 0;
    return count;
  });
  return {
    upTo,
    count: count + (histogram[LAST] ?? 0),
    sum: (histogram[SUM] ?? 0) / TICKS_PER_SECOND,
  };
}
