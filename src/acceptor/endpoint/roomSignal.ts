/**
 * RoomSignal: word that the broker may have room again for messages of one type.
 * From: the publishers, which know nothing of links.  To: the links' lines (roomQueues.ts).
 * Bound: nothing is kept. Publishers are made before the links that wait for them, and know this
 * instead of them.
 */
import type { PublishedType } from './routes.ts';

export class RoomSignal {
  readonly #listeners: ((type: PublishedType) => void)[] = [];

  /** From now on `listener` is told, in the turn in which there is room. */
  listen(listener: (type: PublishedType) => void): void {
    this.#listeners.push(listener);
  }

  send(type: PublishedType): void {
    for (const listener of this.#listeners) listener(type);
  }
}
