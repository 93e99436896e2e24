/**
 * BlockList: whom the operator keeps out, as this acceptor was last told. Pure.
 * From: the stream to the registrar: all of it whenever that opens, then each change.
 * To: identities.ts, which refuses those that are in it, and ends the links of those that came in.
 * Bound: the registrar's `blockedMax`. When the registrar is away, the last list stays in force.
 *
 *   none --list-begin--> coming --list-end--> known --list-begin--> known, and coming --list-end-->
 */
import type { BlockListMessage } from '../../node/messages.ts';

export class BlockList {
  #blocked: Set<string> | undefined;
  /** A list that is not whole yet: who is in it is kept out at once, but nobody is let in by it. */
  #coming: Set<string> | undefined;
  /** Were not in it when somebody last asked. */
  #fresh = new Set<string>();
  readonly #known = Promise.withResolvers<void>();

  /** Resolves with the first whole list. */
  get known(): Promise<void> {
    return this.#known.promise;
  }

  get isKnown(): boolean {
    return this.#blocked !== undefined;
  }

  has(device: string): boolean {
    return this.#blocked?.has(device) === true;
  }

  onMessage(message: BlockListMessage): void {
    switch (message[0]) {
      case 'list-begin':
        this.#coming = new Set();
        break;
      case 'block':
        for (const device of message[1]) this.#add(device);
        break;
      case 'unblock':
        this.#blocked?.delete(message[1]);
        this.#coming?.delete(message[1]);
        this.#fresh.delete(message[1]);
        break;
      case 'list-end':
        this.#blocked = this.#coming ?? new Set();
        this.#coming = undefined;
        this.#known.resolve();
    }
  }

  #add(device: string): void {
    if (!this.has(device)) this.#fresh.add(device);
    this.#blocked?.add(device);
    this.#coming?.add(device);
  }

  /** Those that came in since the last call: their links are to end. */
  takeFresh(): ReadonlySet<string> {
    const fresh = this.#fresh;
    if (fresh.size > 0) this.#fresh = new Set();
    return fresh;
  }
}
