/**
 * Refusal log: which devices were refused and why, so that an operator finds the faulty ones.
 * From: endpoints.ts and intake.ts.  To: the log, a line each: reason, device id and address, and
 * for an ERROR what was wrong. Never a payload, a token, or bytes of a HELLO: the device id has
 * passed its check.
 * Bound: `refusalLinesMax` lines for each reason in `refusalLinesMs`, and one more that counts what
 * was left out; a storm of refusals costs no more than that.
 */
import type { CloseReason, EstablishFailure } from '../base/errors.ts';
import type { Limits } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';

export interface RefusalLogOptions {
  readonly log: Logger;
  readonly limits: Limits;
  /** Monotonic, in ms. */
  readonly clock: { now(): number };
}

type RefusalReason = CloseReason | EstablishFailure;

/** What was wrong: with which message, if with one. Of fixed words. */
export interface RefusalCause {
  readonly message: string;
  readonly type?: number | undefined;
  readonly id?: number | undefined;
}

/** The lines of one reason in one interval. */
interface Interval {
  readonly endsAt: number;
  lines: number;
  leftOut: number;
}

export class RefusalLog {
  readonly #options: RefusalLogOptions;
  /** By reason; of those with a line in the last `refusalLinesMs`. */
  readonly #intervals = new Map<RefusalReason, Interval>();

  constructor(options: RefusalLogOptions) {
    this.#options = options;
  }

  /** Log one refusal, or count it. `link` is asked for its address only when it is logged. */
  onRefusal(
    link: { readonly deviceId: string; readonly peer: string },
    reason: RefusalReason,
    error?: RefusalCause,
  ): void {
    const { log, limits } = this.#options;
    const interval = this.#intervalOf(reason);
    if (interval.lines >= limits.refusalLinesMax) {
      interval.leftOut += 1;
      return;
    }
    interval.lines += 1;
    const { deviceId, peer } = link;
    log.warn(
      {
        reason,
        ...(deviceId === '' ? {} : { device: deviceId }),
        ...(peer === '' ? {} : { peer }),
        ...(error === undefined ? {} : { why: error.message }),
        ...(error?.id === undefined ? {} : { type: error.type, id: error.id }),
      },
      'device refused',
    );
  }

  /** The same of a link that was over before its first frame. `why` is of fixed words. */
  readonly onTurnedAway = (peer: string, failure: EstablishFailure, why: string): void => {
    if (failure !== 'peer-gone') this.onRefusal({ deviceId: '', peer }, failure, { message: why });
  };

  #intervalOf(reason: RefusalReason): Interval {
    const { clock, limits } = this.#options;
    let interval = this.#intervals.get(reason);
    if (interval === undefined) {
      interval = { endsAt: clock.now() + limits.refusalLinesMs, lines: 0, leftOut: 0 };
      this.#intervals.set(reason, interval);
    }
    return interval;
  }

  /** End the intervals that are over at `now`, ms of the clock; Infinity: all of them. */
  tick(now: number): void {
    for (const [reason, { endsAt, leftOut }] of this.#intervals) {
      if (now < endsAt) continue;
      this.#intervals.delete(reason);
      if (leftOut > 0) this.#options.log.warn({ reason, leftOut }, 'more devices refused');
    }
  }
}
