/**
 * UnixRoom: whether this acceptor accepts on Unix sockets. All acceptors accept from the queue of
 * each, and who is full leaves what comes to the others, or in the queue.
 * From: sockets that were accepted there; ticks; the supervisor's handles.
 * To: listeners.ts; the supervisor, which is asked for handles: closing one is the only way not to
 * accept on it.
 * Bound: one question at a time; it asks when one link of RESUME_SHARE has room, so that who is
 * full does not close and open for each link.
 *
 *   open --full--> closed --room--> asked --handles--> open
 */
import type { BoundSocket } from './listener.ts';
import type { Listeners } from './listeners.ts';

const RESUME_SHARE = 64;

export interface UnixRoomOptions {
  readonly places: Pick<Listeners, 'unix' | 'closeUnix' | 'openUnix'>;
  /** Sockets that fit beside those that are here. */
  readonly room: () => number;
  readonly linksMax: number;
  /** The supervisor is to send all of them again. */
  readonly ask: () => void;
}

export class UnixRoom {
  readonly #options: UnixRoomOptions;
  readonly #resumeAt: number;
  #state: 'open' | 'closed' | 'asked' = 'open';

  constructor(options: UnixRoomOptions) {
    this.#options = options;
    this.#resumeAt = Math.ceil(options.linksMax / RESUME_SHARE);
  }

  /** A link more, or one less. */
  look(): void {
    const { places, room, ask } = this.#options;
    if (places.unix === 'none') this.#state = 'open';
    else if (this.#state === 'open' && room() <= 0) {
      places.closeUnix();
      this.#state = 'closed';
    } else if (this.#state === 'closed' && room() >= this.#resumeAt) {
      this.#state = 'asked';
      ask();
    }
  }

  /** The handle of one listener. */
  async onSocket(name: string, bound: BoundSocket): Promise<void> {
    const { places } = this.#options;
    if (this.#state !== 'asked') return;
    await places.openUnix(name, bound);
    if (places.unix === 'open') this.#state = 'open';
  }
}
