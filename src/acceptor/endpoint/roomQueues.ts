/**
 * RoomQueues: who waits for room at the broker, in a line for each type of message.
 * From: readGate.ts, for each link whose next message finds none; the RoomSignal.
 * To: `wake` of the links whose turn it is (roomQueue.ts).
 * Bound: waiters are at most the links. Once suspended, no message finds room any more.
 */
import { RoomQueue, type RoomWaiter } from './roomQueue.ts';
import type { RoomSignal } from './roomSignal.ts';
import type { PublishedType } from './routes.ts';

export class RoomQueues<W extends RoomWaiter> {
  readonly #queues: Readonly<Record<PublishedType, RoomQueue<W>>>;
  #isSuspended = false;

  /** `isFull`: the broker takes no more of this type now; `room` says when it does again. */
  constructor(room: RoomSignal, isFull: (type: PublishedType) => boolean) {
    const queue = (type: PublishedType) => {
      return new RoomQueue<W>(() => this.#isSuspended || isFull(type));
    };
    this.#queues = { event: queue('event'), request: queue('request') };
    room.listen((type) => this.#serve(type));
  }

  /** May a message of this type go now? If not, `add` brings a later `wake`. */
  hasRoom(waiter: W, type: PublishedType): boolean {
    return this.#queues[type].hasRoom(waiter);
  }

  add(waiter: W, type: PublishedType): void {
    this.#queues[type].add(waiter);
  }

  /** One message was sent. */
  took(type: PublishedType): void {
    this.#queues[type].took();
  }

  delete(waiter: W): void {
    this.#queues.event.delete(waiter);
    this.#queues.request.delete(waiter);
  }

  /** Let nothing more go. Links that send are paused as they do so. */
  suspend(): void {
    this.#isSuspended = true;
  }

  #serve(type: PublishedType): void {
    if (!this.#isSuspended) this.#queues[type].serve();
  }
}
