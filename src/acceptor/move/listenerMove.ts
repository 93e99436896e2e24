/**
 * ListenerMove: listening sockets, from an acceptor to its successors, or to one that joins:
 * whoever waits in the kernel's queue of one, or connects at that moment, notices nothing.
 * From: child.ts: the order to move, what other acceptors say, and their ends.
 * To: listeners.ts; the other acceptors, by moveLine.ts.
 * Bound: one handle for each listening socket; until the other one listens on it both have it, and
 * either may accept. Who joins waits JOIN_MS for sockets; what comes later is listened on, too.
 * Unix sockets come from the supervisor, and do not pass here.
 *
 * Closing a socket of a port would reset what waits in its queue, and who is greeting there. So an
 * acceptor that has no place in the node any more gives its sockets, too, and they are listened on
 * beside those that its successors have. An acceptor that joins takes an even part of what is
 * beyond their own: the kernel spreads new links by socket, and each has as many again.
 */
import type { MoveWord } from '../../node/ipc.ts';
import type { ListeningHandle } from '../endpoint/listener.ts';
import type { Listeners, PlacedHandle } from '../endpoint/listeners.ts';
import type { SocketHandle } from '../endpoint/socket.ts';
import type { MovePaceOptions } from './movePace.ts';
import type { GoneSide, ListenWord } from './moves.ts';

/** Of those that are there, one may be busy, or of a version that has no such word. */
const JOIN_MS = 5_000;

export interface ListenerMoveOptions {
  readonly places: Pick<Listeners, 'handles' | 'spare' | 'release' | 'nameOf' | 'add' | 'suspend'>;
  /** Do it after so many ms. */
  readonly after: MovePaceOptions['after'];
  readonly send: (to: string, word: MoveWord, handle?: SocketHandle) => void;
  /** Listen on these, and where none is given. Rejects with the system's error. */
  readonly listen: (given: GivenHandles) => Promise<void>;
  /** It listens before any handle comes: it was started as no one's successor, and joins nobody. */
  readonly isListening: boolean;
}

/** By listener. */
export type GivenHandles = ReadonlyMap<string, readonly ListeningHandle[]>;

export class ListenerMove {
  readonly #options: ListenerMoveOptions;
  /** By predecessor, then by listener. */
  readonly #given = new Map<string, Map<string, ListeningHandle[]>>();
  /** By successor: what it does not listen on yet. */
  readonly #shares = new Map<string, readonly PlacedHandle[]>();
  /** The same, by one that joins; all else is kept. */
  readonly #lent = new Map<string, readonly PlacedHandle[]>();
  /** This one joins: those that have not given all. */
  readonly #asked = new Set<string>();
  #onAllGiven: () => void = () => {};
  #isListening: boolean;

  constructor(options: ListenerMoveOptions) {
    this.#options = options;
    this.#isListening = options.isListening;
  }

  /** The predecessor's part: to each its share. It accepts until all of them listen. */
  give(to: readonly string[]): void {
    const all = this.#options.places.handles();
    for (const [nth, successor] of to.entries()) {
      const shares = all.filter((_, at) => at % to.length === nth);
      this.#shares.set(successor, [...(this.#shares.get(successor) ?? []), ...shares]);
      this.#sendAll(successor, shares);
    }
  }

  #sendAll(to: string, shares: readonly PlacedHandle[]): void {
    const { send } = this.#options;
    for (const { handle, ...place } of shares) send(to, { what: 'listener', ...place }, handle);
    send(to, { what: 'listeners-end' });
  }

  /** Resolves when it listens: on what those that are there can spare, and sockets of its own. */
  async join(there: readonly string[]): Promise<void> {
    const among = there.length + 1;
    for (const one of there) this.#asked.add(one);
    const all = new Promise<void>((resolve) => {
      this.#onAllGiven = resolve;
    });
    for (const one of there) this.#options.send(one, { what: 'share', among });
    this.#options.after(JOIN_MS, this.#onAllGiven);
    await all;
    const came = there.filter((one) => !this.#asked.has(one));
    this.#asked.clear();
    const given = new Map<string, ListeningHandle[]>();
    for (const [name, handles] of came.flatMap((one) => [...this.#takeOut(one)])) {
      given.set(name, [...(given.get(name) ?? []), ...handles]);
    }
    await this.#listen(given);
    for (const one of came) this.#options.send(one, { what: 'listening' });
  }

  async onWord(from: string, word: ListenWord, handle: SocketHandle | undefined): Promise<void> {
    if (word.what === 'share') this.#lend(from, word.among);
    else if (word.what === 'listening') this.#onListening(from);
    else if (word.what === 'listener') this.#onHandle(from, word, handle as ListeningHandle);
    else if (this.#asked.delete(from)) {
      if (this.#asked.size === 0) this.#onAllGiven();
    } else {
      await this.#take(from);
      this.#options.send(from, { what: 'listening' });
    }
  }

  #onHandle(
    from: string,
    word: Extract<MoveWord, { what: 'listener' }>,
    handle: ListeningHandle | undefined,
  ): void {
    if (handle === undefined) return;
    const name = this.#options.places.nameOf(word, handle);
    if (name === undefined) {
      handle.close();
      return;
    }
    const given = this.#given.get(from) ?? new Map<string, ListeningHandle[]>();
    this.#given.set(from, given);
    given.set(name, [...(given.get(name) ?? []), handle]);
  }

  #onListening(from: string): void {
    const lent = this.#lent.get(from);
    if (lent !== undefined) {
      this.#lent.delete(from);
      this.#options.places.release(new Set(lent.map(({ handle }) => handle)));
      return;
    }
    this.#shares.delete(from);
    if (this.#shares.size === 0) this.#suspend();
  }

  /** Should it end before it listens, all is as it was. */
  #lend(to: string, among: number): void {
    const spare = this.#isListening ? this.#options.places.spare(among) : [];
    this.#lent.set(to, spare);
    this.#sendAll(to, spare);
  }

  #takeOut(from: string): GivenHandles {
    const given = this.#given.get(from) ?? new Map();
    this.#given.delete(from);
    return given;
  }

  async #take(from: string): Promise<void> {
    const given = this.#takeOut(from);
    if (this.#isListening) await this.#options.places.add(given);
    else await this.#listen(given);
  }

  async #listen(given: GivenHandles): Promise<void> {
    this.#isListening = true;
    await this.#options.listen(given);
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
    await this.#listen(new Map());
  }

  /** One of several has ended before it listened. */
  #giveToOthers(gone: string): void {
    const shares = this.#shares.get(gone);
    this.#shares.delete(gone);
    const [other] = this.#shares.keys();
    if (shares === undefined) return;
    if (other === undefined) {
      this.#suspend();
      return;
    }
    this.#shares.set(other, [...(this.#shares.get(other) ?? []), ...shares]);
    this.#sendAll(other, shares);
  }
}
