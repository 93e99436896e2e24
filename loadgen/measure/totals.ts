/**
 * Totals: the workers' intervals added up, over workers into points and over time into totals.
 * From: manager.ts, one Interval per worker and second.  To: live line, report, HDR log, metrics.
 * Bound: one histogram per kind of time for the whole run, one set per open interval; a closed
 * interval leaves a Point of a few numbers. Percentiles come from added histograms only.
 */
import type { Histogram } from 'hdr-histogram-js';
import { INTERVAL_MS, type Interval } from './interval.ts';
import {
  COUNTERS,
  type Counts,
  decodeHistogram,
  LABELLED,
  newCounts,
  newHistogram,
  newLabelled,
  type Taken,
  TIMES,
  type TimeName,
} from './measures.ts';
import {
  EXAMPLES_MAX,
  type Example,
  newViolationCounts,
  VIOLATION_NAMES,
  WRONGS,
} from './violations.ts';

/** Milliseconds. */
export interface Percentiles {
  readonly count: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly p9999: number;
  readonly max: number;
}

function ms(us: number): number {
  return Math.round(us) / 1_000;
}

export function percentilesOf(histogram: Histogram): Percentiles {
  return {
    count: histogram.totalCount,
    mean: histogram.totalCount === 0 ? 0 : ms(histogram.mean),
    p50: ms(histogram.getValueAtPercentile(50)),
    p90: ms(histogram.getValueAtPercentile(90)),
    p99: ms(histogram.getValueAtPercentile(99)),
    p999: ms(histogram.getValueAtPercentile(99.9)),
    p9999: ms(histogram.getValueAtPercentile(99.99)),
    max: ms(histogram.maxValue),
  };
}

/** One second of the whole run. */
export interface Point {
  /** Seconds since the first planned connect, at the interval's end. */
  readonly t: number;
  readonly open: number;
  readonly connecting: number;
  readonly pending: number;
  readonly counts: Counts;
  /** Wrong answers of this second, all kinds together. */
  readonly violations: number;
  readonly times: Partial<Record<TimeName, Percentiles>>;
  /** The busiest worker's share of one core, and the worst event-loop delay. */
  readonly cpuShare: number;
  readonly lagMaxMs: number;
}

export interface WorkerSummary {
  readonly worker: number;
  cpuMs: number;
  /** Time in which it could have run and the machine ran something else. */
  deniedMs: number;
  wallMs: number;
  cpuShareMax: number;
  lagP99MaxMs: number;
  lagMaxMs: number;
  rssMaxBytes: number;
  openMax: number;
}

interface Bucket {
  readonly intervals: Interval[];
}

type Histograms = Partial<Record<TimeName, Histogram>>;

export class Totals {
  readonly counts = newCounts();
  readonly labelled = newLabelled();
  readonly violations = newViolationCounts();
  readonly examples: Example[] = [];
  readonly times = Object.fromEntries(TIMES.map((name) => [name, newHistogram()])) as Record<
    TimeName,
    Histogram
  >;
  readonly points: Point[] = [];
  readonly workers: WorkerSummary[];
  openNow = 0;
  openMax = 0;
  pendingNow = 0;
  /** Told of each closed interval, with its histograms in microseconds. */
  onPoint: (point: Point, histograms: Histograms) => void = () => {};
  readonly #buckets = new Map<number, Bucket>();
  readonly #last: number[];
  readonly #latest = new Map<number, Interval>();
  #closedUpTo = -1;

  constructor(workers: number) {
    this.#last = Array.from({ length: workers }, () => -1);
    this.workers = this.#last.map((_, worker) => ({
      worker,
      cpuMs: 0,
      deniedMs: 0,
      wallMs: 0,
      cpuShareMax: 0,
      lagP99MaxMs: 0,
      lagMaxMs: 0,
      rssMaxBytes: 0,
      openMax: 0,
    }));
  }

  add(interval: Interval): void {
    this.#addSummary(interval);
    for (const name of VIOLATION_NAMES) this.violations[name] += interval.violations.counts[name];
    for (const example of interval.violations.examples) this.addExample(example);
    addTaken(this, interval.taken);
    this.#latest.set(interval.worker, interval);
    const at = Math.max(interval.at, this.#closedUpTo + 1);
    const bucket = this.#buckets.get(at);
    if (bucket === undefined) this.#buckets.set(at, { intervals: [interval] });
    else bucket.intervals.push(interval);
    this.#last[interval.worker] = at;
    this.#closeUpTo(Math.min(...this.#last));
  }

  addExample(example: Example): void {
    const known = this.examples.filter(({ violation }) => violation === example.violation);
    if (known.length < EXAMPLES_MAX) this.examples.push(example);
  }

  /** A worker has ended: its later intervals are not waited for. */
  finish(worker: number): void {
    this.#last[worker] = Number.POSITIVE_INFINITY;
    const upTo = Math.min(...this.#last, ...[Math.max(-1, ...this.#buckets.keys())]);
    this.#closeUpTo(upTo);
  }

  /** A worker's links are gone with it. */
  forget(worker: number): void {
    this.#latest.delete(worker);
    this.finish(worker);
  }

  #addSummary({ worker, gauges }: Interval): void {
    const summary = this.workers[worker];
    if (summary === undefined) return;
    summary.cpuMs += gauges.cpuMs;
    summary.deniedMs += gauges.deniedMs;
    summary.wallMs += gauges.wallMs;
    // A short last interval says little about a share.
    if (gauges.wallMs > INTERVAL_MS / 2) {
      summary.cpuShareMax = Math.max(summary.cpuShareMax, gauges.cpuMs / gauges.wallMs);
    }
    summary.lagP99MaxMs = Math.max(summary.lagP99MaxMs, gauges.lagP99Ms);
    summary.lagMaxMs = Math.max(summary.lagMaxMs, gauges.lagMaxMs);
    summary.rssMaxBytes = Math.max(summary.rssMaxBytes, gauges.rssBytes);
    summary.openMax = Math.max(summary.openMax, gauges.open);
  }

  #closeUpTo(upTo: number): void {
    const ready = [...this.#buckets.keys()].filter((at) => at <= upTo).sort((a, b) => a - b);
    for (const at of ready) {
      const bucket = this.#buckets.get(at);
      this.#buckets.delete(at);
      this.#closedUpTo = Math.max(this.#closedUpTo, at);
      if (bucket !== undefined) this.#close(at, bucket);
    }
  }

  #close(at: number, { intervals }: Bucket): void {
    const counts = newCounts();
    const histograms: Histograms = {};
    let violations = 0;
    let cpuShare = 0;
    let lagMaxMs = 0;
    for (const { taken, violations: found, gauges } of intervals) {
      for (const name of COUNTERS) counts[name] += taken.counts[name];
      for (const name of TIMES) addHistogram(histograms, name, taken.times[name]);
      violations += WRONGS.reduce((sum, name) => sum + found.counts[name], 0);
      cpuShare = Math.max(cpuShare, gauges.wallMs > 0 ? gauges.cpuMs / gauges.wallMs : 0);
      lagMaxMs = Math.max(lagMaxMs, gauges.lagMaxMs);
    }
    const gauges = [...this.#latest.values()].map((interval) => interval.gauges);
    this.openNow = gauges.reduce((sum, { open }) => sum + open, 0);
    this.openMax = Math.max(this.openMax, this.openNow);
    this.pendingNow = gauges.reduce((sum, { pending }) => sum + pending, 0);
    const times: Partial<Record<TimeName, Percentiles>> = {};
    for (const name of TIMES) {
      const histogram = histograms[name];
      if (histogram !== undefined) times[name] = percentilesOf(histogram);
    }
    const point: Point = {
      t: ((at + 1) * INTERVAL_MS) / 1_000,
      open: this.openNow,
      connecting: gauges.reduce((sum, { connecting }) => sum + connecting, 0),
      pending: this.pendingNow,
      counts,
      violations,
      times,
      cpuShare,
      lagMaxMs,
    };
    this.points.push(point);
    this.onPoint(point, histograms);
  }
}

function addHistogram(into: Histograms, name: TimeName, text: string | undefined): void {
  if (text === undefined) return;
  const histogram = decodeHistogram(text);
  const known = into[name];
  if (known === undefined) into[name] = histogram;
  else known.add(histogram);
}

function addTaken(totals: Totals, taken: Taken): void {
  for (const name of COUNTERS) totals.counts[name] += taken.counts[name];
  for (const name of LABELLED) {
    for (const [label, count] of Object.entries(taken.labelled[name])) {
      totals.labelled[name][label] = (totals.labelled[name][label] ?? 0) + count;
    }
  }
  for (const name of TIMES) {
    const text = taken.times[name];
    if (text !== undefined) totals.times[name].add(decodeHistogram(text));
  }
}
