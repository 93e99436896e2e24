/**
 * Admission: admits a storm of new links at a pace that does not disturb the open ones.
 * From: the listener's sockets.  To: endpoints.ts, `connectsPerSecond` of them, and only while
 * fewer than `greetingsMax` links have not come as far as their HELLO's answer.
 * Bound: `connectQueueMax` sockets wait, unread and with nothing allocated for them, for at most
 * `connectWaitMs`. A socket that comes when the queue is full, or waits longer than that, is
 * refused with `rate-limited`. With a `connectQueueMax` of 0, none waits: all above the pace are
 * refused at once.
 */
import { Bucket } from '../../base/bucket.ts';
import type { Clock } from '../../base/clock.ts';
import type { Limits } from '../../base/limits.ts';
import type { Counters } from '../../base/metrics.ts';

/** `A`: an accepted socket, with whatever its next owner has to know of it. */
export interface AdmissionOptions<A> {
  readonly limits: Limits;
  readonly counters: Counters;
  readonly clock: Clock;
  /** Number of sockets for which there is still room. */
  readonly room: () => number;
  /** `acceptedUs`: when the socket was accepted, in the clock's µs. */
  readonly admit: (socket: A, acceptedUs: number) => void;
  readonly refuse: (socket: A, reason: 'rate-limited' | 'server-full' | 'draining') => void;
}

interface Waiting<A> {
  readonly socket: A;
  /** The clock's µs. */
  readonly acceptedUs: number;
}

const US_PER_MS = 1_000;
/** Some links of a storm at a time, so that no turn of the event loop gets long. */
const PACE_MS = 8;

export class Admission<A> {
  readonly #options: AdmissionOptions<A>;
  /** Links that may be admitted now. */
  readonly #bucket: Bucket;
  /** Sockets that may wait: no more than are admitted within `connectWaitMs`. */
  readonly #queueMax: number;
  /** Oldest first. */
  readonly #waiting: Waiting<A>[] = [];
  /** Runs while sockets wait: an acceptor without a storm is not woken for one. */
  #pacer: NodeJS.Timeout | undefined;

  constructor(options: AdmissionOptions<A>) {
    const { connectsPerSecond, connectBurst, connectQueueMax, connectWaitMs } = options.limits;
    this.#options = options;
    this.#queueMax = Math.min(connectQueueMax, (connectsPerSecond * connectWaitMs) / 1_000);
    this.#bucket = new Bucket(connectsPerSecond, connectBurst, options.clock.now());
  }

  /** Sockets that wait; no others are referenced here. */
  get size(): number {
    return this.#waiting.length;
  }

  /** A socket was accepted, not yet read from. */
  arrive(socket: A): void {
    this.#bucket.fill(this.#options.clock.now());
    // A waiting socket uses a file too: at the open-file limit libuv closes sockets unseen.
    if (this.size >= this.#options.room()) {
      this.#options.refuse(socket, 'server-full');
    } else if (this.size === 0 && this.#isOpen()) {
      this.#admit(socket, this.#options.clock.us());
    } else if (this.size < this.#queueMax) {
      this.#waiting.push({ socket, acceptedUs: this.#options.clock.us() });
      this.#pacer ??= setInterval(() => this.tick(), PACE_MS).unref();
      this.#count();
    } else {
      this.#options.refuse(socket, 'rate-limited');
    }
  }

  /**
   * Admit queued sockets, oldest first, and refuse those that have waited `connectWaitMs`. Most of
   * these devices have given up, which only a read would show: admitting them first would use up
   * the pace that devices which still wait need.
   */
  tick(): void {
    const { limits, clock, refuse } = this.#options;
    this.#bucket.fill(clock.now());
    const staleUs = clock.us() - limits.connectWaitMs * US_PER_MS;
    let gone = 0;
    for (const { socket, acceptedUs } of this.#waiting) {
      if (acceptedUs <= staleUs) refuse(socket, 'rate-limited');
      else if (this.#isOpen()) this.#admit(socket, acceptedUs);
      else break;
      gone += 1;
    }
    this.#forget(gone);
  }

  /**
   * Drop the first `gone` at each tick, also during a storm: they must not stay referenced here.
   * With an empty queue the pacer stops.
   */
  #forget(gone: number): void {
    this.#waiting.splice(0, gone);
    if (this.size === 0) {
      clearInterval(this.#pacer);
      this.#pacer = undefined;
    }
    this.#count();
  }

  #isOpen(): boolean {
    const { limits, counters } = this.#options;
    return (
      !this.#bucket.isEmpty && counters.greetings + counters.establishing < limits.greetingsMax
    );
  }

  #admit(socket: A, acceptedUs: number): void {
    this.#bucket.take(1);
    this.#options.admit(socket, acceptedUs);
  }

  #count(): void {
    this.#options.counters.connectsWaiting = this.size;
  }

  /** The acceptor stops: refuse all that still wait. */
  close(): void {
    for (const { socket } of this.#waiting) this.#options.refuse(socket, 'draining');
    this.#forget(this.size);
  }
}
