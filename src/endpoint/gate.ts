/**
 * Gate: lets a storm of new links in at a pace that those already open do not feel.
 * From: the listener's sockets.  To: the keeper, `connectsPerSecond` of them, and only while fewer
 * than `greetingsMax` links have still to say HELLO.
 * Bound: `connectQueueMax` sockets wait, unread and with nothing allocated for them, for at most
 * `connectWaitMs`; what comes beyond that or waits longer is refused with `rate-limited`. With a
 * `connectQueueMax` of 0, a storm is refused at once instead.
 */
import type { Socket } from 'node:net';
import type { Limits } from '../limits.ts';
import type { Counters } from '../observe/metrics.ts';
import type { Clock } from './clock.ts';

export interface GateOptions {
  readonly limits: Limits;
  readonly counters: Counters;
  readonly clock: Clock;
  /** Sockets that the keeper still has room for. */
  readonly room: () => number;
  /** `acceptedUs`: when it came, in the clock's µs. */
  readonly admit: (socket: Socket, acceptedUs: number) => void;
  readonly refuse: (socket: Socket, reason: 'rate-limited' | 'server-full' | 'draining') => void;
}

interface Waiting {
  readonly socket: Socket;
  /** The clock's µs. */
  readonly acceptedUs: number;
}

const US_PER_MS = 1_000;

export class Gate {
  readonly #options: GateOptions;
  /** Token bucket: links that may be let in now; a whole number or not. */
  #tokens: number;
  #filledAt: number;
  #waiting: Waiting[] = [];
  /** Everything in #waiting before this has been let in. */
  #head = 0;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#tokens = options.limits.connectBurst;
    this.#filledAt = options.clock.now();
  }

  /** Sockets that wait. */
  get size(): number {
    return this.#waiting.length - this.#head;
  }

  /** Sockets referenced here, in whatever state: never more than `connectQueueMax`. */
  get held(): number {
    return this.#waiting.length;
  }

  /** A socket was accepted, not yet read from. */
  arrive(socket: Socket): void {
    this.#fill();
    // Who waits holds a file too: beyond the open-file limit libuv closes sockets unseen.
    if (this.size >= this.#options.room()) {
      this.#options.refuse(socket, 'server-full');
    } else if (this.size === 0 && this.#isOpen()) {
      this.#admit(socket, this.#options.clock.us());
    } else if (this.size < this.#options.limits.connectQueueMax) {
      this.#waiting.push({ socket, acceptedUs: this.#options.clock.us() });
      this.#count();
    } else {
      this.#options.refuse(socket, 'rate-limited');
    }
  }

  /** Let in who waits, the longest waiting first. */
  tick(): void {
    if (this.size === 0) return;
    this.#fill();
    this.#refuseStale();
    while (this.size > 0 && this.#isOpen()) {
      const { socket, acceptedUs } = this.#waiting[this.#head] as Waiting;
      this.#head += 1;
      this.#admit(socket, acceptedUs);
    }
    // Also while the storm lasts: what has been let in must not stay referenced here.
    this.#waiting = this.#waiting.slice(this.#head);
    this.#head = 0;
    this.#count();
  }

  /**
   * Whoever has waited that long has mostly given up, and shows it only when read from: letting
   * them in first would leave no time for those that are still there, for as long as it goes on.
   */
  #refuseStale(): void {
    const { limits, clock, refuse } = this.#options;
    const before = clock.us() - limits.connectWaitMs * US_PER_MS;
    while (this.size > 0) {
      const { socket, acceptedUs } = this.#waiting[this.#head] as Waiting;
      if (acceptedUs > before) return;
      this.#head += 1;
      refuse(socket, 'rate-limited');
    }
  }

  #fill(): void {
    const { connectsPerSecond, connectBurst } = this.#options.limits;
    const now = this.#options.clock.now();
    const earned = ((now - this.#filledAt) * connectsPerSecond) / 1_000;
    this.#tokens = Math.min(connectBurst, this.#tokens + earned);
    this.#filledAt = now;
  }

  #isOpen(): boolean {
    const { limits, counters } = this.#options;
    return this.#tokens >= 1 && counters.greetings < limits.greetingsMax;
  }

  #admit(socket: Socket, acceptedUs: number): void {
    this.#tokens -= 1;
    this.#options.admit(socket, acceptedUs);
  }

  #count(): void {
    this.#options.counters.connectsWaiting = this.size;
  }

  /** The acceptor stops: refuse who still waits. */
  close(): void {
    for (const { socket } of this.#waiting.slice(this.#head)) {
      this.#options.refuse(socket, 'draining');
    }
    this.#waiting = [];
    this.#head = 0;
    this.#count();
  }
}
