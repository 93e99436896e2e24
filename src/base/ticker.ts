/**
 * Ticker: work that is looked for at intervals, for as long as a process runs.
 * From: the files that put processes together.  To: their parts' ticks.
 * Bound: one timer.
 */
export class Ticker {
  readonly #work: () => void;
  readonly #everyMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(everyMs: number, work: () => void) {
    this.#everyMs = everyMs;
    this.#work = work;
  }

  start(): void {
    this.#timer = setInterval(this.#work, this.#everyMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
