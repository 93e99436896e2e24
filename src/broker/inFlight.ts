/**
 * InFlight: what was sent on the present channel and is not confirmed, and whether more may go.
 * From: publisher.ts, for what it sends and gets an answer for.  To: the same.
 * Bound: FIRSTS_MAX messages whose sender had no other one here, however slow the broker is; and
 * beside them as many as the pace allows. Each of the two has its own room: a sender that says
 * something now and then does not wait behind those that flood, nor they for ever behind many such.
 */
import type { Pace } from './pace.ts';
import type { Publishing } from './publisher.ts';

const FIRSTS_MAX = 128;

export class InFlight {
  readonly #pace: Pace;
  /** By delivery tag. */
  readonly #sent = new Map<number, Publishing>();
  /** Those of them that are the first of their sender. */
  #firsts = 0;

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  get size(): number {
    return this.#sent.size;
  }

  has(tag: number): boolean {
    return this.#sent.has(tag);
  }

  hasRoom(isFirst: boolean): boolean {
    if (isFirst && this.#firsts < FIRSTS_MAX) return true;
    return this.#sent.size - this.#firsts < this.#pace.limit;
  }

  add(tag: number, publishing: Publishing): void {
    this.#sent.set(tag, publishing);
    if (publishing.isFirst === true) this.#firsts += 1;
  }

  /** It is answered. Should it be sent again, it is one of the others. */
  take(tag: number): Publishing | undefined {
    const publishing = this.#sent.get(tag);
    if (publishing === undefined) return undefined;
    this.#sent.delete(tag);
    if (publishing.isFirst === true) {
      this.#firsts -= 1;
      publishing.isFirst = false;
    }
    return publishing;
  }

  /** All of them, in order: their channel is gone. */
  takeAll(): Publishing[] {
    return [...this.#sent.keys()].flatMap((tag) => this.take(tag) ?? []);
  }
}
