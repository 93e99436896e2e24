/**
 * LinkDeadlines: how long a link may take to say HELLO, and to be gone once it is over; how long
 * one that sends too much is not looked at; and when the proof of who it is ends.
 * From: intake.ts and endpoints.ts, as a link is accepted, opens, ends and is closed; readGate.ts.
 * To: the endpoint whose time is up: BYE, the end of its socket, `wake`.
 * Bound: an entry per link and kind; one tick ends at most SWEEP_MAX of each kind.
 */
import type { Clock } from '../../base/clock.ts';
import { Deadlines } from '../../base/deadlines.ts';
import type { Limits } from '../../base/limits.ts';
import type { Counters } from '../../base/metrics.ts';
import type { Endpoint } from './endpoint.ts';
import { Expiries } from './expiries.ts';

/** How long a link that sends too much is not read from, before it is looked at again. */
const THROTTLE_MS = 50;

export class LinkDeadlines {
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #greetings: Deadlines<Endpoint>;
  readonly #lingering: Deadlines<Endpoint>;
  readonly #throttled: Deadlines<Endpoint>;
  readonly #expiries: Expiries<Endpoint>;

  constructor(limits: Limits, clock: Clock, counters: Counters) {
    this.#clock = clock;
    this.#counters = counters;
    this.#greetings = new Deadlines(limits.greetingMs, (endpoint) => {
      endpoint.close('greeting-timeout');
    });
    this.#lingering = new Deadlines(limits.lingerMs, (endpoint) => endpoint.destroy());
    this.#throttled = new Deadlines(THROTTLE_MS, (endpoint) => endpoint.wake());
    this.#expiries = new Expiries((endpoint) => endpoint.close('auth-expired'));
  }

  /** Links that are over, and whose socket is not gone yet. */
  get lingering(): number {
    return this.#lingering.size;
  }

  /** It has `greetingMs` for its HELLO. */
  accepted(endpoint: Endpoint): void {
    this.#greetings.add(endpoint, this.#clock.now());
    this.#count();
  }

  /** `expiresAt`, ms since 1970: when its proof ends. */
  opened(endpoint: Endpoint, expiresAt?: number): void {
    this.#greetings.delete(endpoint);
    if (expiresAt !== undefined) {
      // By the clock that nobody sets: a step of the other one must not end a whole fleet.
      this.#expiries.add(endpoint, this.#clock.now() + expiresAt - this.#clock.wall());
    }
    this.#count();
  }

  /** The link is over: its socket has `lingerMs` to be gone. */
  ended(endpoint: Endpoint): void {
    // A greeting that fell due has left the deadlines before it ends: the size tells, not this.
    this.#greetings.delete(endpoint);
    this.#throttled.delete(endpoint);
    this.#expiries.delete(endpoint);
    this.#lingering.add(endpoint, this.#clock.now());
    this.#count();
  }

  /** Another process has it. */
  moved(endpoint: Endpoint): void {
    this.#throttled.delete(endpoint);
    this.#expiries.delete(endpoint);
    this.#count();
  }

  closed(endpoint: Endpoint): void {
    this.#lingering.delete(endpoint);
    this.#count();
  }

  /** It sends too much: `wake` it a little later. */
  throttle(endpoint: Endpoint): void {
    if (this.#throttled.has(endpoint)) return;
    this.#counters.throttled += 1;
    this.#throttled.add(endpoint, this.#clock.now());
  }

  /** End what is overdue. */
  tick(now: number): void {
    this.#greetings.sweep(now);
    this.#lingering.sweep(now);
    this.#throttled.sweep(now);
    this.#expiries.sweep(now);
  }

  #count(): void {
    this.#counters.greetings = this.#greetings.size;
    this.#counters.lingering = this.#lingering.size;
  }
}
