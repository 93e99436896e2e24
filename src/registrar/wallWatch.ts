/**
 * WallWatch: notices that the wall clock was set.
 * From: registrar.ts, at each of its ticks.  To: its log, for deadlines are judged by that clock.
 * Bound: what is slewed in, less than JUMP_MS from one look to the next, is no jump.
 */
import type { Clock } from '../base/clock.ts';

/** Rounding and a slow look between the two readings are well below it. */
const JUMP_MS = 1_000;

export class WallWatch {
  readonly #clock: Pick<Clock, 'now' | 'wall'>;
  #offset: number;

  constructor(clock: Pick<Clock, 'now' | 'wall'>) {
    this.#clock = clock;
    this.#offset = clock.wall() - clock.now();
  }

  /** By how many ms the wall clock was set since the last look; 0 when it was not. */
  look(): number {
    const offset = this.#clock.wall() - this.#clock.now();
    const jumpMs = offset - this.#offset;
    this.#offset = offset;
    return Math.abs(jumpMs) < JUMP_MS ? 0 : jumpMs;
  }
}
