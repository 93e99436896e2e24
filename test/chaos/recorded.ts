/**
 * Recorded: a short chaos run on a machine of two cores of which others had four fifths: what the
 * node said of its links to the broker, and what the machine did. Times are in ms from the first
 * word; heartbeats were of 1 s.
 */
import type { Word } from './detection.ts';
import type { Sample } from './machine.ts';

export const SPANS = {
  stopped: { from: 5020, to: 7031 },
  cut: { from: 10822, to: 14329 },
  closed: { from: 18016, to: 22988 },
} as const;

/** The last fault is looked at up to here. */
export const END = 30717;

const WORDS: readonly (readonly [number, string, Word['what']])[] = [
  [0, 'acceptor 1, publish', 'up'],
  [26, 'acceptor 1, consume', 'up'],
  [412, 'acceptor 2, publish', 'up'],
  [447, 'acceptor 2, consume', 'up'],
  [453, 'registrar, presence', 'up'],
  [12891, 'acceptor 1, publish', 'lost'],
  [12903, 'acceptor 1, consume', 'lost'],
  [13399, 'acceptor 2, publish', 'lost'],
  [13400, 'acceptor 2, consume', 'lost'],
  [13401, 'registrar, presence', 'lost'],
  [14395, 'acceptor 2, publish', 'up'],
  [14409, 'acceptor 2, consume', 'up'],
  [14421, 'acceptor 1, publish', 'up'],
  [14426, 'acceptor 1, consume', 'up'],
  [14456, 'registrar, presence', 'up'],
  [18059, 'acceptor 2, consume', 'lost'],
  [18060, 'acceptor 1, publish', 'lost'],
  [18060, 'acceptor 1, consume', 'lost'],
  [18061, 'registrar, presence', 'lost'],
  [18064, 'acceptor 2, publish', 'lost'],
  [23553, 'registrar, presence', 'up'],
  [24059, 'acceptor 2, publish', 'up'],
  [24502, 'acceptor 1, consume', 'up'],
  [25942, 'acceptor 1, publish', 'up'],
  [27162, 'acceptor 2, consume', 'up'],
];

/** Until when, ms that the node and the brokers were denied, share of others. */
const SAMPLES: readonly (readonly [number, number, number, number])[] = [
  [2518, 163, 108, 0.76],
  [3020, 71, 196, 0.71],
  [3520, 28, 25, 0.74],
  [4021, 86, 34, 0.76],
  [4521, 29, 23, 0.77],
  [5020, 45, 50, 0.8],
  [5523, 30, 0, 0.89],
  [6029, 31, 0, 0.9],
  [6531, 10, 0, 0.93],
  [7042, 18, 12, 0.88],
  [7542, 51, 30, 0.74],
  [8046, 47, 40, 0.75],
  [8548, 24, 42, 0.79],
  [9048, 52, 51, 0.78],
  [9548, 19, 44, 0.81],
  [10048, 24, 87, 0.79],
  [10555, 32, 57, 0.8],
  [11054, 116, 40, 0.84],
  [11557, 28, 16, 0.87],
  [12057, 4, 4, 0.93],
  [12561, 8, 14, 0.94],
  [13061, 57, 10, 0.88],
  [13561, 34, 19, 0.9],
  [14061, 218, 162, 0.92],
  [14561, 47, 200, 0.72],
  [15061, 23, 283, 0.83],
  [15561, 75, 342, 0.8],
  [16061, 55, 30, 0.77],
  [16561, 53, 165, 0.82],
  [17061, 19, 30, 0.85],
  [17562, 140, 319, 0.82],
  [18062, 34, 0, 0.89],
  [18563, 23, 0, 0.93],
  [19071, 52, 140, 0.74],
  [19573, 26, 174, 0.6],
  [20076, 56, 41, 0.83],
  [20575, 77, 85, 0.63],
  [21077, 44, 161, 0.55],
  [21578, 36, 138, 0.54],
  [22083, 32, 151, 0.44],
  [22585, 74, 236, 0.66],
  [23085, 60, 219, 0.77],
  [23587, 52, 61, 0.9],
  [24087, 83, 38, 0.81],
  [24587, 63, 38, 0.79],
  [25089, 72, 49, 0.85],
  [25589, 132, 52, 0.9],
  [26089, 132, 69, 0.75],
  [26588, 165, 62, 0.83],
  [27112, 85, 87, 0.81],
  [27614, 40, 37, 0.82],
  [28115, 108, 38, 0.83],
  [28640, 86, 74, 0.79],
  [29142, 30, 62, 0.78],
  [29643, 24, 29, 0.8],
  [30143, 69, 74, 0.84],
  [30655, 63, 21, 0.82],
];

export const words: readonly Word[] = WORDS.map(([at, link, what]) => ({ at, link, what }));

export const samples: readonly Sample[] = SAMPLES.map(
  ([to, nodeDeniedMs, brokerDeniedMs, foreignShare], at) => ({
    from: SAMPLES[at - 1]?.[0] ?? 2014,
    ...{ to, nodeDeniedMs, brokerDeniedMs, foreignShare },
  }),
);
