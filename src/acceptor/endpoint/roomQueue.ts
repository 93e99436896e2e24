/**
 * RoomQueue: links whose next message has no room at the broker, and whose turn it is.
 * From: endpoints.ts, for each such link; the routes, which say when there is room.  To: `wake`.
 * Bound: one entry per link. Whoever has waited longest goes first, with QUANTUM messages at most,
 * and then to the end of the line: many that flood get no more of the room, each, than one that
 * asks once. Before all of them goes who has nothing under way. WAKES_MAX links are woken in one
 * turn of the event loop, some milliseconds' work.
 */

const QUANTUM = 4;
const WAKES_MAX = 256;

interface Waiter {
  /** Handle what waits. Whoever finds no room again is added again. */
  wake(): void;
  /** Messages of it that are under way. */
  readonly inFlight: number;
}

export class RoomQueue<W extends Waiter> {
  readonly #isFull: () => boolean;
  readonly #waiting = new Set<W>();
  /** Those of them with nothing under way. */
  readonly #first = new Set<W>();
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
  hasRoom(waiter: W): boolean {
    if (this.#isFull()) return false;
    if (this.#left !== undefined) return this.#left > 0;
    return this.#first.size === 0 && (this.#waiting.size === 0 || waiter.inFlight === 0);
  }

  /** One has gone. */
  took(): void {
    if (this.#left !== undefined) this.#left -= 1;
  }

  add(waiter: W): void {
    (waiter.inFlight === 0 ? this.#first : this.#waiting).add(waiter);
  }

  delete(waiter: W): void {
    this.#waiting.delete(waiter);
    this.#first.delete(waiter);
  }

  /**
   * There is room: wake those that wait, the longest waiting first, until it is gone. Many of them
   * may have nothing to say: beyond WAKES_MAX the next turn goes on.
   */
  serve(): void {
    if (this.#left !== undefined) return;
    const wakes = this.#serve(this.#first, WAKES_MAX);
    const left = this.#serve(this.#waiting, wakes);
    this.#left = undefined;
    if (left === 0) this.#goOn();
  }

  /** Wake at most `wakes` of a line. Gives how many more may be. */
  #serve(line: Set<W>, wakes: number): number {
    let left = wakes;
    for (const waiter of line) {
      if (this.#isFull() || left === 0) break;
      this.#left = QUANTUM;
      // Deleted first: whoever fills the room again goes to the end of the line.
      line.delete(waiter);
      waiter.wake();
      left -= 1;
    }
    return left;
  }

  #goOn(): void {
    this.#next ??= setImmediate(() => {
      this.#next = undefined;
      this.serve();
    });
  }
}
