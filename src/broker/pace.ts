/**
 * Pace: how many messages may be in flight at the broker, by how long it takes to confirm. Pure.
 * From: publisher.ts, with the tags it sends and gets confirmed.  To: a limit for what it sends.
 * Bound: from UNDER_WAY_MIN, or what its user sets, to the publisher's window. Messages in flight
 * are ahead of the next one: once the broker is busy, the more there are, the longer each takes.
 * So the limit is the least that keeps the broker busy: it rises while confirms take no longer
 * for it, and falls when they do.
 *
 * RabbitMQ itself stops reading a connection that has some 400 messages under way on one channel,
 * and with it the other channels of that connection: https://www.rabbitmq.com/docs/flow-control
 */

const UNDER_WAY_MIN = 128;
/** A confirm that takes this much longer than twice the shortest has waited behind others. */
const SLACK_MS = 10;
/** So long does a slow confirm tell of the broker as it is now. */
const SLOW_MS = 100;
const GROWTH = 1.25;
const CUT = 0.75;
/** The shortest is measured again after this: a broker that moved may now be slower for good. */
const SHORTEST_MS = 10_000;

export class Pace {
  readonly #min: number;
  readonly #max: number;
  #limit: number;
  /** The message whose confirm is timed, and when it was sent. 0: none is. */
  #tag = 0;
  #sentAt = 0;
  #shortest = Number.POSITIVE_INFINITY;
  #shortestBefore = Number.POSITIVE_INFINITY;
  #shortestSince = 0;
  /** When a confirm was last slow. */
  #slowAt = Number.NEGATIVE_INFINITY;

  constructor(max: number, min = UNDER_WAY_MIN) {
    this.#max = max;
    this.#min = Math.min(min, max);
    this.#limit = this.#min;
  }

  get limit(): number {
    return this.#limit;
  }

  /** A channel begins: what was timed on the one before is not answered here. */
  begin(): void {
    this.#tag = 0;
  }

  sent(tag: number, now: number): void {
    if (this.#tag !== 0) return;
    this.#tag = tag;
    this.#sentAt = now;
  }

  /** `isHeldUp`: more would have been sent, but for the limit. */
  answered(tag: number, now: number, isHeldUp: boolean): void {
    if (this.#tag === 0 || tag < this.#tag) return;
    this.#tag = 0;
    const tookMs = now - this.#sentAt;
    this.#time(tookMs, now);
    if (this.#isSlow(tookMs)) {
      this.#slowAt = now;
      this.#limit = Math.max(this.#min, Math.floor(this.#limit * CUT));
    } else if (isHeldUp) {
      this.#limit = Math.min(this.#max, Math.ceil(this.#limit * GROWTH));
    }
  }

  /** By a confirm of the last SLOW_MS, or by the one that is being waited for. */
  isSlow(now: number): boolean {
    return now - this.#slowAt < SLOW_MS || (this.#tag !== 0 && this.#isSlow(now - this.#sentAt));
  }

  #isSlow(tookMs: number): boolean {
    return tookMs > 2 * Math.min(this.#shortest, this.#shortestBefore) + SLACK_MS;
  }

  #time(tookMs: number, now: number): void {
    if (now - this.#shortestSince > SHORTEST_MS) {
      this.#shortestBefore = this.#shortest;
      this.#shortest = Number.POSITIVE_INFINITY;
      this.#shortestSince = now;
    }
    this.#shortest = Math.min(this.#shortest, tookMs);
  }
}
