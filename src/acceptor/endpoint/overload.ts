/**
 * Overload: how much less than its rate a link may send while this acceptor, or the broker behind
 * it, is overloaded. Pure, except for the two load readings.
 * From: endpoints.ts, at each tick; each Allowance, at each message of its link.  To: the factor by
 * which a message then costs more of its link's rate (rate.ts).
 * Bound: no link is held below `linkFairPerSecond`, nor below FAIR_TIMES the average rate of links
 * that send: if all send equally much, none is slowed down; only links that send far more than
 * the others are.
 */
import type { Limits } from '../../base/limits.ts';
import type { Counters } from '../../base/metrics.ts';

/** The load is read this often, in ms. */
const STEP_MS = 30;
/** Window over which sending links are counted, in ms. */
const WINDOW_MS = 1_000;
/** The share of its time that the event loop may be at work. */
const BUSY_SHARE = 0.75;
const FAIR_TIMES = 2;
const RISE = 4;
/** From 64 times back to once in some 40 s. */
const EASE = 0.997;

export interface LoadReadings {
  /** The share of its time that the event loop has been at work, since this was last asked. */
  busyShare(): number;
  /** The broker takes longer to confirm than it does when it has little to do. */
  isBrokerSlow(): boolean;
}

export class Overload {
  /** A message costs its normal price times this. */
  factor = 1;
  /** Number of the current window. A link that has sent in it is counted once. */
  window = 1;
  readonly #limits: Limits;
  readonly #counters: Pick<Counters, 'overloads'>;
  readonly #load: LoadReadings;
  #messages = 0;
  #links = 0;
  /** Messages per second of a link in the last whole window; links that sent none do not count. */
  #average = Number.POSITIVE_INFINITY;
  #windowAt = 0;
  #stepAt = 0;

  constructor(limits: Limits, counters: Pick<Counters, 'overloads'>, load: LoadReadings) {
    this.#limits = limits;
    this.#counters = counters;
    this.#load = load;
  }

  /** A message of a link; its last one was in `window`. */
  count(window: number): number {
    this.#messages += 1;
    if (window !== this.window) this.#links += 1;
    return this.window;
  }

  /** `now`: monotonic ms. */
  tick(now: number): void {
    if (now - this.#windowAt >= WINDOW_MS) this.#endWindow(now);
    if (now - this.#stepAt < STEP_MS) return;
    this.#stepAt = now;
    const isOverloaded = this.#load.busyShare() > BUSY_SHARE || this.#load.isBrokerSlow();
    const wanted = isOverloaded ? this.factor * RISE : this.factor * EASE;
    const factor = Math.max(1, Math.min(wanted, this.#highest()));
    if (factor > this.factor) this.#counters.overloads += 1;
    this.factor = factor;
  }

  #endWindow(now: number): void {
    const seconds = (now - this.#windowAt) / 1_000;
    const isWhole = this.#windowAt !== 0 && this.#links > 0;
    this.#average = isWhole ? this.#messages / this.#links / seconds : Number.POSITIVE_INFINITY;
    this.#messages = 0;
    this.#links = 0;
    this.#windowAt = now;
    this.window += 1;
  }

  #highest(): number {
    const { linkMessagesPerSecond, linkFairPerSecond } = this.#limits;
    const fair = Math.max(linkFairPerSecond, FAIR_TIMES * this.#average);
    return linkMessagesPerSecond / fair;
  }
}

/** A `busyShare` of this process. */
export function watchBusy(): () => number {
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}
