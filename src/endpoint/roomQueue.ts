/**
 * RoomQueue: links whose next message has no room at the broker, and whose turn it is.
 * From: keeper.ts, for each such link; the routes, which say when there is room.  To: `wake`.
 * Bound: one entry per link. Whoever has waited longest goes first, with QUANTUM messages at most,
 * and then to the end of the line: many that flood get no more of the room, each, than one
 * that asks once. WAKES_MAX links are woken in one turn of the event loop, some milliseconds' work.
 */

const QUANTUM = 1;
const WAKES_MAX = 256;

interface Waiter {
  /** Handle what waits. Whoever finds no room again is added again. */
  wake(): void;
}

export class RoomQueue<W extends Waiter> {
  readonly #isFull: () => boolean;
  readonly #waiting = new Set<W>();
  /** Messages that the link whose turn it is may still hand over; undefined: it is nobody's. */
  #left: number | undefined;
  #next: NodeJS.Immediate | undefined;

  constructor(isFull: () => boolean) {
    this.#isFull = isFull;
  }

  /**
   * May a message go now? Room goes to those who wait first: else busy links, the first to hear of
   * a confirm, would take it all and the others starve. `serve` always follows, in the same turn or
   * the next.
   */
  hasRoom(): boolean {
    if (this.#isFull()) return false;
    return this.#left === undefined ? this.#waiting.size === 0 : this.#left > 0;
  }

  /** One has gone. */
  took(): void {
    if (this.#left !== undefined) this.#left -= 1;
  }

  add(waiter: W): void {
    this.#waiting.add(waiter);
  }

  delete(waiter: W): void {
    this.#waiting.delete(waiter);
  }

  /**
   * There is room: wake those that wait, the longest waiting first, until it is gone. Many of them
   * may have nothing to say: beyond WAKES_MAX the next turn goes on.
   */
  serve(): void {
    if (this.#left !== undefined) return;
    let wakes = 0;
    for (const waiter of this.#waiting) {
      if (this.#isFull() || wakes === WAKES_MAX) break;
      this.#left = QUANTUM;
      // Deleted first: whoever fills the room again goes to the end of the line.
      this.#waiting.delete(waiter);
      waiter.wake();
      wakes += 1;
    }
    this.#left = undefined;
    if (wakes === WAKES_MAX) this.#goOn();
  }

  #goOn(): void {
    this.#next ??= setImmediate(() => {
      this.#next = undefined;
      this.serve();
    });
  }
}
