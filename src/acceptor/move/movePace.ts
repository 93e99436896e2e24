/**
 * MovePace: links move in bursts, with a rest after each: three processes have to work for them,
 * and those whose links are not moving need the machine, too.
 * From: giver.ts: the window is full, or all of it was answered.  To: the same, when it may go on.
 * Bound: a rest is as long as its burst, so half of the time, and REST_MAX_MS.
 *
 *   offering --the window is full--> answering --all is answered--> resting --> offering
 */
import type { Clock } from '../../base/clock.ts';

/** On a machine so slow that a burst takes longer, links move for more than half of the time. */
const REST_MAX_MS = 20;

export interface MovePaceOptions {
  readonly clock: Pick<Clock, 'now'>;
  /** Do it after so many ms. */
  readonly after: (ms: number, act: () => void) => void;
}

export class MovePace {
  readonly #options: MovePaceOptions;
  #state: 'offering' | 'answering' | 'resting' = 'offering';
  #begunAt = 0;

  constructor(options: MovePaceOptions) {
    this.#options = options;
  }

  get mayOffer(): boolean {
    return this.#state === 'offering';
  }

  /** None is under way: another order begins. */
  reset(): void {
    this.#state = 'offering';
  }

  /** Offers have been made, as many as may be under way. */
  full(begunAt: number): void {
    this.#state = 'answering';
    this.#begunAt = begunAt;
  }

  /** None is under way. `goOn` is called when more may be offered. */
  answered(goOn: () => void): void {
    if (this.#state !== 'answering') return;
    const { clock, after } = this.#options;
    this.#state = 'resting';
    after(Math.min(REST_MAX_MS, clock.now() - this.#begunAt), () => {
      this.#state = 'offering';
      goOn();
    });
  }
}
