/**
 * ListenerMove: listening sockets, from an acceptor to its successor: whoever waits in the kernel's
 * queue of one, or connects at that moment, notices nothing.
 * From: acceptor.ts: the order to move, what the other acceptor says, and its end.
 * To: listeners.ts; the other acceptor, by moveLine.ts.
 * Bound: one handle for each listening socket; until the successor listens on them both have them,
 * and either may accept. Unix sockets come from the supervisor, and do not pass here.
 */
import type { MoveWord } from '../../node/ipc.ts';
import type { ListeningHandle } from '../endpoint/listener.ts';
import type { Listeners } from '../endpoint/listeners.ts';
import type { SocketHandle } from '../endpoint/socket.ts';
import type { ListenWord } from './moves.ts';

export interface ListenerMoveOptions {
  readonly places: Pick<Listeners, 'handles' | 'suspend'>;
  readonly send: (word: MoveWord, handle?: SocketHandle) => void;
  /** Listen on these, and where none is given. Rejects with the system's error. */
  readonly listen: (given: GivenHandles) => Promise<void>;
}

/** By listener. */
export type GivenHandles = ReadonlyMap<string, readonly ListeningHandle[]>;

export class ListenerMove {
  readonly #options: ListenerMoveOptions;
  readonly #given = new Map<string, ListeningHandle[]>();
  /** All that will come has come. */
  #isWhole = false;

  constructor(options: ListenerMoveOptions) {
    this.#options = options;
  }

  /** The predecessor's part. It accepts until the other one listens. */
  give(): void {
    const { places, send } = this.#options;
    for (const [name, handles] of places.handles()) {
      for (const [socket, handle] of handles.entries()) {
        send({ what: 'listener', name, socket }, handle);
      }
    }
    send({ what: 'listeners-end' });
  }

  async onWord(word: ListenWord, handle: SocketHandle | undefined): Promise<void> {
    const { places, send, listen } = this.#options;
    if (word.what === 'listening') {
      places.suspend();
    } else if (word.what === 'listener') {
      if (handle === undefined) return;
      const those = this.#given.get(word.name) ?? [];
      this.#given.set(word.name, [...those, handle as ListeningHandle]);
    } else if (!this.#isWhole) {
      this.#isWhole = true;
      await listen(this.#given);
      send({ what: 'listening' });
    }
  }

  /** The predecessor has ended: nothing more comes. */
  async onPredecessorGone(): Promise<void> {
    if (this.#isWhole) return;
    this.#isWhole = true;
    await this.#options.listen(this.#given);
  }

  /** The successor has ended, and what was given to it is closed. */
  async onSuccessorGone(): Promise<void> {
    this.#options.places.suspend();
    await this.#options.listen(new Map());
  }
}
