/**
 * Allowance: what one link may send now, by what it has sent and what it was answered.
 * From: its Endpoint.  To: readGate.ts, which pauses the link while it is ahead of its rate, or has
 * as much under way as it may.
 * Bound: a link is at most `burstMs` ahead of its rate (GCRA), which is lower in an overload; and
 * has `inFlightMax` messages under way, or so many that their answers fit into its outbox.
 */
import type { Limits } from '../../base/limits.ts';
import type { Overload } from './overload.ts';
import type { Rate } from './rate.ts';

/** What one answer counts, beside those before it. */
const ANSWER_SHARE = 1 / 4;
/** How long answers are taken to be before there was one, in bytes. */
const FIRST_ANSWER_BYTES = 16_384;

/** What a message costs is by these. */
export interface MessageSize {
  readonly bytes: number;
  readonly elements: number;
}

/** Written down, for another process. */
export interface AllowanceState {
  /** How far the link is ahead of its rate, in ms. */
  readonly aheadMs: number;
  readonly answerBytes: number;
}

export class Allowance {
  /** When the messages handled so far would have come at the permitted rate, in ms. */
  #paidUntil = 0;
  /** Of `Overload`: in which the last message was counted. */
  #window = 0;
  /** What an answer takes of the outbox, by the last ones. */
  #answerBytes = FIRST_ANSWER_BYTES;

  /** A message is handled: so long, of so many elements. `now`: monotonic ms. */
  pay(
    rate: Rate,
    overload: Pick<Overload, 'count' | 'factor'>,
    { bytes, elements }: MessageSize,
    now: number,
  ): void {
    this.#window = overload.count(this.#window);
    const price = overload.factor * rate.priceMs(bytes, elements);
    this.#paidUntil = Math.max(this.#paidUntil, now) + price;
  }

  /** May no more be handled for now? */
  isAhead(rate: Rate, now: number): boolean {
    return this.#paidUntil - now > rate.burstMs;
  }

  /** A message is no longer under way; `bytes` of its answer, 0 without one. */
  answered(bytes: number): void {
    this.#answerBytes += (bytes - this.#answerBytes) * ANSWER_SHARE;
  }

  /**
   * So many messages may be under way that their answers, should they be as long as the last ones,
   * fit into the outbox of a device that reads none of them.
   */
  inFlightMax({ inFlightMax, outboxHardBytes }: Limits): number {
    const fitting = Math.floor(outboxHardBytes / this.#answerBytes);
    return Math.max(1, Math.min(inFlightMax, fitting));
  }

  state(now: number): AllowanceState {
    return { aheadMs: Math.max(0, this.#paidUntil - now), answerBytes: this.#answerBytes };
  }

  restore({ aheadMs, answerBytes }: AllowanceState, now: number): void {
    this.#paidUntil = now + aheadMs;
    this.#answerBytes = answerBytes;
  }
}
