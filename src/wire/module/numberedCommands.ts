/**
 * NumberedCommands: which COMMAND a device's answer is about, by the small numbers of its link.
 * From: moduleProtocol.ts: COMMANDs that are sent, answers that came.  To: the same: ids of ours.
 * Bound: COMMANDS_OPEN_MAX, or as many as there are numbers: then the one that is open for longest
 * is dropped, and its answer is stray.
 */
import { COMMANDS_OPEN_MAX } from '../message.ts';

const NUMBER_MAX = 0xffff;

interface Sent {
  readonly id: number;
  isTaken: boolean;
}

export class NumberedCommands {
  readonly #numberMax: number;
  /** By number, in the order in which they were sent. */
  readonly #open = new Map<number, Sent>();

  constructor(numberMax = NUMBER_MAX) {
    this.#numberMax = numberMax;
  }

  /** The number for one more: the first after `last` that is free. */
  open(id: number, last: number): number {
    if (this.#open.size >= Math.min(COMMANDS_OPEN_MAX, this.#numberMax)) {
      for (const oldest of this.#open.keys()) {
        this.#open.delete(oldest);
        break;
      }
    }
    let number = last;
    do number = number >= this.#numberMax ? 1 : number + 1;
    while (this.#open.has(number));
    this.#open.set(number, { id, isTaken: false });
    return number;
  }

  /** The id of the COMMAND that its device says to have; `number` 0: the first not taken yet. */
  taken(number: number): number | undefined {
    const sent = number === 0 ? this.#first((one) => !one.isTaken) : this.#open.get(number);
    if (sent !== undefined) sent.isTaken = true;
    return sent?.id;
  }

  /** The same of one that is answered: it is open no more. `number` 0: the first of all. */
  ended(number: number): number | undefined {
    const sent = number === 0 ? this.#first(() => true) : this.#open.get(number);
    if (sent === undefined) return undefined;
    for (const [known, one] of this.#open) if (one === sent) this.#open.delete(known);
    return sent.id;
  }

  #first(isIt: (sent: Sent) => boolean): Sent | undefined {
    for (const sent of this.#open.values()) if (isIt(sent)) return sent;
    return undefined;
  }
}
