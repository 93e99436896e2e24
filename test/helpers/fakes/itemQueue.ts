/**
 * Item queue: what came over a link, one by one, to whoever asks for it, before or after it came.
 * From: a device of a test, which reads its socket.  To: the test.
 * Bound: none; what nobody takes stays.
 */
import type { Duplex } from 'node:stream';

/** Stands in the queue where the server's FIN or the loss of the link came. */
export const END = 'end' as const;

export abstract class ItemQueue<T extends object> {
  readonly socket: Duplex;
  readonly #items: (T | typeof END)[] = [];
  readonly #takers: ((item: T | typeof END) => void)[] = [];
  #isEnded = false;

  constructor(socket: Duplex) {
    this.socket = socket;
    const end = () => {
      if (this.#isEnded) return;
      this.#isEnded = true;
      this.put(END);
    };
    socket.on('end', end);
    socket.on('close', end);
    socket.on('error', () => {});
  }

  protected put(item: T | typeof END): void {
    const taker = this.#takers.shift();
    if (taker) taker(item);
    else this.#items.push(item);
  }

  sendBytes(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** The next one, or END. Waits as long as it takes: tests have their own deadline. */
  next(): Promise<T | typeof END> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  /** Everything up to the end of the link. */
  async rest(): Promise<T[]> {
    const items: T[] = [];
    for (;;) {
      const item = await this.next();
      if (item === END) return items;
      items.push(item);
    }
  }

  /** Those that are here already and not yet taken. */
  get waiting(): number {
    return this.#items.length;
  }

  close(): void {
    this.socket.destroy();
  }
}
