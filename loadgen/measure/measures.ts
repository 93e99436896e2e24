/**
 * Measures: the counters and histograms of one worker, taken away interval by interval.
 * From: device.ts, fleet.ts and load.ts.  To: the manager, which adds them up: counts and
 * histograms are summed over workers and time, percentiles are worked out last, never averaged.
 * Bound: 1 us to 1 h at 3 significant digits; longer counts as 1 h. Labels come from short lists.
 */
import {
  build,
  decodeFromCompressedBase64,
  encodeIntoCompressedBase64,
  type Histogram,
} from 'hdr-histogram-js';

export const COUNTERS = [
  'attempts',
  'welcomes',
  'firstWelcomes',
  'connectFailures',
  'ends',
  'requests',
  'replies',
  'events',
  'acks',
  'pings',
  'pongs',
  'commands',
  'commandsPublished',
  'commandsActed',
  'commandsAgain',
  'commandsSkipped',
  'skipped',
  'excused',
  'lateSends',
  'lateConnects',
  'bytesOut',
  'bytesIn',
  'faults',
  'wakes',
  'ticketsOffered',
  'newcomers',
] as const;
export type CounterName = (typeof COUNTERS)[number];
export type Counts = Record<CounterName, number>;

export const LABELLED = [
  'ends',
  'errors',
  'connectErrors',
  'statuses',
  'faults',
  'outcomes',
  'handshakes',
] as const;
export type LabelledName = (typeof LABELLED)[number];
export type Labelled = Record<LabelledName, Record<string, number>>;

/**
 * Times: `*Raw` ones count from the real send, the others from the planned one. Pauses are of
 * devices: the longest of each.
 */
export const TIMES = [
  'request',
  'requestRaw',
  'event',
  'eventRaw',
  'connect',
  'connectRaw',
  'sendLag',
  'command',
  'outcome',
  'pauseBefore',
  'pause',
] as const;
export type TimeName = (typeof TIMES)[number];

const HIGHEST_US = 3_600_000_000;

export function newHistogram(): Histogram {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_US,
    numberOfSignificantValueDigits: 3,
    bitBucketSize: 32,
  });
}

export function decodeHistogram(text: string): Histogram {
  return decodeFromCompressedBase64(text, 32);
}

export function newCounts(): Counts {
  return Object.fromEntries(COUNTERS.map((name) => [name, 0])) as Counts;
}

/** Labels are words of a server's too: without a prototype, `constructor` is one like any other. */
export function newLabelled(): Labelled {
  const none = (): Record<string, number> => Object.create(null);
  return {
    ends: none(),
    errors: none(),
    connectErrors: none(),
    statuses: none(),
    faults: none(),
    outcomes: none(),
    handshakes: none(),
  };
}

/** What a worker did since it was last asked; plain values that an IPC channel carries. */
export interface Taken {
  readonly counts: Counts;
  readonly labelled: Labelled;
  /** Compressed histograms in microseconds; only those that have values. */
  readonly times: Partial<Record<TimeName, string>>;
}

export class Measures {
  counts = newCounts();
  labelled = newLabelled();
  readonly #times = Object.fromEntries(TIMES.map((name) => [name, newHistogram()])) as Record<
    TimeName,
    Histogram
  >;

  /** Add one to a label of `name`. */
  label(name: LabelledName, label: string): void {
    const labels = this.labelled[name];
    labels[label] = (labels[label] ?? 0) + 1;
  }

  time(name: TimeName, ms: number): void {
    const us = Math.round(ms * 1_000);
    this.#times[name].recordValue(us < 1 ? 1 : Math.min(us, HIGHEST_US));
  }

  /** Everything since the last call; starts anew. */
  take(): Taken {
    const times: Partial<Record<TimeName, string>> = {};
    for (const name of TIMES) {
      const histogram = this.#times[name];
      if (histogram.totalCount === 0) continue;
      times[name] = encodeIntoCompressedBase64(histogram);
      histogram.reset();
    }
    const taken = { counts: this.counts, labelled: this.labelled, times };
    this.counts = newCounts();
    this.labelled = newLabelled();
    return taken;
  }
}
