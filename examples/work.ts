/**
 * work.ts - what a device has to send: messages, each kept until it has its answer or was refused.
 *
 * Which one is next, which are sent again on the next link, and which one an ERROR is about:
 * docs/protocol.md, under ERROR.
 * Bound: `window` messages are kept.
 */

export interface Item {
  readonly type: number | undefined;
  readonly topic: string;
  readonly text: string;
}

/** A message without its answer; id 0: not yet sent on this link. */
interface Kept {
  readonly number: number;
  id: number;
}

/** What was asked of us: these messages in turn, `total` of them; 0: none. */
export class Work {
  readonly items: readonly Item[];
  readonly total: number;
  readonly window: number;
  /** HELLO's option of that name, if there is one. */
  will: { readonly will?: object };
  /** The first message's number, the same whenever it is sent again. Firmware keeps it in flash. */
  readonly seq = Date.now();
  failed = 0;
  /** In order. */
  readonly #kept: Kept[] = [];
  /** The first message that was never sent. */
  #next = 0;
  /** Messages below this number go one at a time. */
  #alone = 0;
  /** An ERROR named none: that mode begins on the next link. */
  #isUnclear = false;

  constructor(items: readonly Item[], count: number, window: number, will: Work['will']) {
    this.items = items;
    this.total = items.length * count;
    this.window = window;
    this.will = will;
  }

  get isDone(): boolean {
    return this.total > 0 && this.#next >= this.total && this.#kept.length === 0;
  }

  /** Sent on this link and not answered. */
  get sent(): number {
    return this.#kept.filter(({ id }) => id > 0).length;
  }

  /** A link is over, and its ids with it. */
  beginAnew(): void {
    for (const kept of this.#kept) kept.id = 0;
    if (this.#isUnclear) this.#alone = this.#next;
    this.#isUnclear = false;
  }

  /** The next message to send, `undefined` if none may be sent now. */
  next(): Kept | undefined {
    const sent = this.sent;
    if (sent > 0 && this.#isAlone) return undefined;
    if (sent === this.#kept.length) {
      if (sent >= this.window || this.#next >= this.total) return undefined;
      this.#kept.push({ number: this.#next, id: 0 });
      this.#next += 1;
    }
    return this.#kept[sent];
  }

  get #isAlone(): boolean {
    return (this.#kept[0]?.number ?? this.#alone) < this.#alone;
  }

  itemOf({ number }: Kept): Item {
    return this.items[number % this.items.length] as Item;
  }

  /** The message with this id was answered; false: there is none. */
  settle(id: number, isGood: boolean): boolean {
    const at = this.#find(id);
    if (at >= 0) this.#drop(at, isGood);
    return at >= 0;
  }

  /** This message will never be taken. */
  refuse(kept: Kept): void {
    this.#drop(this.#kept.indexOf(kept), false);
  }

  /**
   * Something that we sent was wrong: the message that is named is dropped and no other. True: it
   * is not known which.
   */
  onError(id: number | undefined): boolean {
    if (id === 0) return false; // an EVENT that nobody keeps
    return id === undefined || !this.settle(id, false);
  }

  /**
   * The link ends because of a message, and nobody says which. They go one at a time from the next
   * link on, so that it is found.
   */
  findRefused(): void {
    if (this.sent === 1 && this.#isAlone) this.#drop(0, false);
    else this.#isUnclear = true;
  }

  /** The message that has this id on this link; of two the one sent last. */
  #find(id: number): number {
    return id === 0 ? -1 : this.#kept.findLastIndex((kept) => kept.id === id);
  }

  #drop(at: number, isGood: boolean): void {
    this.#kept.splice(at, 1);
    if (!isGood) this.failed += 1;
  }
}
