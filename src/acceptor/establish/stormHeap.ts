/**
 * StormHeap: is this a storm of TLS handshakes? V8 collects garbage less often while it is one.
 * From: establish.ts, as each handshake begins; its ticks.  To: `loosen` (heapGrowth.ts).
 * Bound: a storm is STORM_HANDSHAKES within WINDOW_MS. One that lasts for LONGEST_MS is none any
 * more, but how this fleet is: it would keep the garbage of its ends, too.
 *
 *   calm --STORM_HANDSHAKES--> storm --LONGEST_MS--> usual
 *     \________a window with fewer_____/________________/
 */

const WINDOW_MS = 1_000;
const STORM_HANDSHAKES = 50;
const LONGEST_MS = 120_000;

export class StormHeap {
  readonly #loosen: (isStorm: boolean) => void;
  #state: 'calm' | 'storm' | 'usual' = 'calm';
  /** Of the storm, in the clock's ms. */
  #since = 0;
  /** Of the window. */
  #from = 0;
  #begun = 0;

  constructor(loosen: (isStorm: boolean) => void) {
    this.#loosen = loosen;
  }

  /** A handshake begins. */
  begin(now: number): void {
    this.#begun += 1;
    if (this.#state !== 'calm' || this.#begun < STORM_HANDSHAKES) return;
    this.#state = 'storm';
    this.#since = now;
    this.#loosen(true);
  }

  tick(now: number): void {
    if (now - this.#from < WINDOW_MS) return;
    const isCalm = this.#begun < STORM_HANDSHAKES;
    this.#from = now;
    this.#begun = 0;
    if (this.#state === 'storm' && (isCalm || now - this.#since >= LONGEST_MS)) {
      this.#state = 'usual';
      this.#loosen(false);
    }
    if (isCalm) this.#state = 'calm';
  }
}
