/**
 * RoomQueue: links whose next message waits for room at the broker, and whose turn it is.
 * From: roomQueues.ts, for each such link, and when there is room.  To: `wake`.
 * Bound: one entry per link. The link that has waited longest goes first, with at most QUANTUM
 * messages, and then to the end of the line: a link that floods gets no more room than one that
 * asks once. Links with nothing in flight go before all others. At most WAKES_MAX links are woken
 * in one turn of the event loop, some milliseconds' work.
 */

const QUANTUM = 4;
const WAKES_MAX = 256;

export interface RoomWaiter {
  /** Handle what waits. A link that finds no room again is added again. */
  wake(): void;
  /** Its messages in flight. */
  readonly inFlight: number;
}

export class RoomQueue<W extends RoomWaiter> {
  readonly #isFull: () => boolean;
  readonly #waiting = new Set<W>();
  /** Waiting links with nothing in flight. */
  readonly #first = new Set<W>();
  /** Messages that the link whose turn it is may still send; undefined: it is no link's turn. */
  #left: number | undefined;
  #next: NodeJS.Immediate | undefined;

  constructor(isFull: () => boolean) {
    this.#isFull = isFull;
  }

  /**
   * May a message go now? Waiting links get room first: otherwise busy links, which learn of a
   * confirm first, would take it all and the others starve. `serve` always follows, in the same
   * turn or the next.
   */
  hasRoom(waiter: W): boolean {
    if (this.#isFull()) return false;
    if (this.#left !== undefined) return this.#left > 0;
    return this.#first.size === 0 && (this.#waiting.size === 0 || waiter.inFlight === 0);
  }

  /** One message was sent. */
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
   * There is room: wake waiting links, oldest first, until it is used up. Many of them may have
   * nothing to send: after WAKES_MAX the next turn continues.
   */
  serve(): void {
    if (this.#left !== undefined) return;
    const wakes = this.#serve(this.#first, WAKES_MAX);
    const left = this.#serve(this.#waiting, wakes);
    this.#left = undefined;
    if (left === 0) this.#goOn();
  }

  /** Wake at most `wakes` links of `line`. Returns how many more may be woken. */
  #serve(line: Set<W>, wakes: number): number {
    let left = wakes;
    for (const waiter of line) {
      if (this.#isFull() || left === 0) break;
      this.#left = QUANTUM;
      // Deleted first: a link that waits again goes to the end of the line.
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
