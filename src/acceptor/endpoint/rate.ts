/**
 * Rate: what a message of a device costs of the time that its link has. Pure.
 * From: the limits of one link, per second.  To: its Allowance, which pays for each message (GCRA);
 * readGate.ts pauses the link while it is more than `burstMs` ahead.
 * Bound: `linkMessagesPerSecond`, `linkBytesPerSecond` and `linkElementsPerSecond`, each of them:
 * a message costs the largest of its three shares, so that none can be beaten by staying below
 * another. Time to read a message goes with its elements, and memory traffic with its bytes.
 */
import type { Limits } from '../../base/limits.ts';

export class Rate {
  /** How far ahead of the permitted rate a link may be, in ms. */
  readonly burstMs: number;
  readonly #messageMs: number;
  readonly #byteMs: number;
  readonly #elementMs: number;

  constructor(limits: Limits) {
    this.#messageMs = 1_000 / limits.linkMessagesPerSecond;
    this.#byteMs = 1_000 / limits.linkBytesPerSecond;
    this.#elementMs = 1_000 / limits.linkElementsPerSecond;
    this.burstMs = limits.linkMessagesBurst * this.#messageMs;
  }

  /** The time that one message of `bytes` and `elements` takes at the permitted rate, in ms. */
  priceMs(bytes: number, elements: number): number {
    return Math.max(this.#messageMs, bytes * this.#byteMs, elements * this.#elementMs);
  }
}
