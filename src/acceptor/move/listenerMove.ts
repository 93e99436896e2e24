/**
 * ListenerMove: listening sockets, from an acceptor to its successors: whoever waits in the
 * kernel's queue of one, or connects at that moment, notices nothing.
 * From: child.ts: the order to move, what other acceptors say, and their ends.
 * To: listeners.ts; the other acceptors, by moveLine.ts.
 * Bound: one handle for each listening socket; until a successor listens on it both have it, and
 * either may accept. Unix sockets come from the supervisor, and do not pass here.
 *
 * Closing a socket of a port would reset what waits in its queue, and who is greeting there. So an
 * acceptor that has no place in the node any more gives its sockets, too, and they are listened on
 * beside those that its successors have: as many as the node ever had.
 */
import type { MoveWord } from '../../node/ipc.ts';
import type { ListeningHandle } from '../endpoint/listener.ts';
import type { Listeners } from '../endpoint/listeners.ts';
import type { SocketHandle } from '../endpoint/socket.ts';
import type { GoneSide, ListenWord } from './moves.ts';

export interface ListenerMoveOptions {
  readonly places: Pick<Listeners, 'handles' | 'add' | 'suspend'>;
  readonly send: (to: string, word: MoveWord, handle?: SocketHandle) => void;
  /** Listen on these, and where none is given. Rejects with the system's error. */
  readonly listen: (given: GivenHandles) => Promise<void>;
  /** It listens before any handle comes: it was started as no one's successor. */
  readonly isListening: boolean;
}

/** By listener. */
export type GivenHandles = ReadonlyMap<string, readonly ListeningHandle[]>;

/** One listening socket, on its way. */
interface Share {
  readonly name: string;
  readonly socket: number;
  readonly handle: ListeningHandle;
}

export class ListenerMove {
  readonly #options: ListenerMoveOptions;
  /** By predecessor, then by listener. */
  readonly #given = new Map<string, Map<string, ListeningHandle[]>>();
  /** By successor: what it does not listen on yet. */
  readonly #shares = new Map<string, readonly Share[]>();
  #isListening: boolean;

  constructor(options: ListenerMoveOptions) {
    this.#options = options;
    this.#isListening = options.isListening;
  }

  /** The predecessor's part: to each its share. It accepts until all of them listen. */
  give(to: readonly string[]): void {
    const all: Share[] = [];
    for (const [name, handles] of this.#options.places.handles()) {
      for (const [socket, handle] of handles.entries()) all.push({ name, socket, handle });
    }
    for (const [nth, successor] of to.entries()) {
      this.#giveTo(
        successor,
        all.filter((_, at) => at % to.length === nth),
      );
    }
  }

  #giveTo(successor: string, shares: readonly Share[]): void {
    const { send } = this.#options;
    this.#shares.set(successor, [...(this.#shares.get(successor) ?? []), ...shares]);
    for (const { name, socket, handle } of shares) {
      send(successor, { what: 'listener', name, socket }, handle);
    }
    send(successor, { what: 'listeners-end' });
  }

  async onWord(from: string, word: ListenWord, handle: SocketHandle | undefined): Promise<void> {
    if (word.what === 'listening') {
      this.#shares.delete(from);
      if (this.#shares.size === 0) this.#suspend();
    } else if (word.what === 'listener') {
      if (handle === undefined) return;
      const given = this.#given.get(from) ?? new Map<string, ListeningHandle[]>();
      this.#given.set(from, given);
      given.set(word.name, [...(given.get(word.name) ?? []), handle as ListeningHandle]);
    } else {
      await this.#take(from);
      this.#options.send(from, { what: 'listening' });
    }
  }

  async #take(from: string): Promise<void> {
    const { listen, places } = this.#options;
    const given = this.#given.get(from) ?? new Map();
    this.#given.delete(from);
    if (this.#isListening) {
      await places.add(given);
      return;
    }
    this.#isListening = true;
    await listen(given);
  }

  #suspend(): void {
    this.#isListening = false;
    this.#options.places.suspend();
  }

  async onGone(acceptor: string, { side, isLast }: GoneSide): Promise<void> {
    if (side === 'predecessor') await this.#take(acceptor);
    else if (isLast) await this.#listenAgain();
    else this.#giveToOthers(acceptor);
  }

  /** What was given to it is closed, if it was not here any more. */
  async #listenAgain(): Promise<void> {
    this.#shares.clear();
    this.#suspend();
    this.#isListening = true;
    await this.#options.listen(new Map());
  }

  /** One of several has ended before it listened. */
  #giveToOthers(gone: string): void {
    const shares = this.#shares.get(gone);
    this.#shares.delete(gone);
    const [other] = this.#shares.keys();
    if (shares === undefined) return;
    if (other === undefined) this.#suspend();
    else this.#giveTo(other, shares);
  }
}
