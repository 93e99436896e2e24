/**
 * Turns: those who ask for much are served piece by piece, in turn, for at most half of the time.
 * From: queries.ts, one piece of work per turn.  To: the same.
 * Bound: one piece at a time; before the next a rest as long as the last took, REST_MAX_MS at most.
 */

/** A piece that took so long waited for a disk; a rest of the same length would help nobody. */
const REST_MAX_MS = 50;

export class Turns {
  readonly #now: () => number;
  #last: Promise<void> = Promise.resolve();

  /** `now`: ms of a monotonic clock. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Do `work` when all that asked before have had their turn. Settles as it does. */
  take<T>(work: () => Promise<T>): Promise<T> {
    let startedAt = 0;
    const turn = this.#last.then(() => {
      startedAt = this.#now();
      return work();
    });
    const rest = () => this.#rest(this.#now() - startedAt);
    this.#last = turn.then(rest, rest);
    return turn;
  }

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      setTimeout(resolve, Math.min(ms, REST_MAX_MS));
    });
  }
}
