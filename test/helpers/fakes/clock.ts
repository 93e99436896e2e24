/** A clock that tests move by hand. */
import type { Clock } from '../../../src/base/clock.ts';

export class FakeClock implements Clock {
  #ms = 1;

  now(): number {
    return this.#ms;
  }

  wall(): number {
    return 1_700_000_000_000 + this.#ms;
  }

  us(): number {
    return this.#ms * 1_000;
  }

  advance(ms: number): void {
    this.#ms += ms;
  }
}
