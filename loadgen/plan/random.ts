/**
 * Random: numbers that a seed repeats.
 * From: `--seed`, the worker's and device's index.  To: phases, payloads, jitter, choices.
 * Bound: 32-bit state (mulberry32): good for load, never for secrets.
 */

const GOLDEN = 0x9e3779b9;

/** A well-mixed 32-bit hash of two 32-bit numbers. */
export function hash(a: number, b: number): number {
  let h = (a ^ Math.imul(b, GOLDEN)) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** A stream of numbers in [0, 1), the same for the same seed and stream number. */
export class Random {
  #state: number;

  constructor(seed: number, stream = 0) {
    this.#state = hash(seed, stream + 1);
  }

  /** The next number, 0 <= x < 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let x = this.#state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A number from `min` up to, not including, `max`. */
  between(min: number, max: number): number {
    return min + this.next() * (max - min);
  }

  /** A whole number from 0 up to, not including, `count`. */
  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  /** The wait until a Poisson process's next arrival, `mean` in the caller's unit. */
  exponential(mean: number): number {
    return -Math.log(1 - this.next()) * mean;
  }
}
