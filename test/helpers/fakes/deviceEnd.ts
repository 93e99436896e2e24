/**
 * A device's end of a link: bytes go out, and what came back is handed out one by one, with END
 * behind it.
 * From: device.ts and mqttDevice.ts, which are one each, with what they read.  To: tests.
 * Bound: none; it waits as long as it takes, as tests have their own deadline.
 */
import type { Duplex } from 'node:stream';

/** Stands in the queue of messages where the server's FIN or the loss of the link came. */
export const END = 'end' as const;

export class DeviceEnd<M extends object> {
  readonly socket: Duplex;
  readonly #items: (M | typeof END)[] = [];
  readonly #takers: ((item: M | typeof END) => void)[] = [];
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

  protected put(item: M | typeof END): void {
    const taker = this.#takers.shift();
    if (taker) taker(item);
    else this.#items.push(item);
  }

  sendBytes(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** The next message, or END. */
  next(): Promise<M | typeof END> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  /** Everything up to the end of the link. */
  async rest(): Promise<M[]> {
    const messages: M[] = [];
    for (;;) {
      const item = await this.next();
      if (item === END) return messages;
      messages.push(item);
    }
  }

  /** Messages that are here already and not yet taken. */
  get waiting(): number {
    return this.#items.length;
  }

  close(): void {
    this.socket.destroy();
  }
}
