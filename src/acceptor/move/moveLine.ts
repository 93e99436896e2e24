/**
 * MoveLine: the way from this acceptor to its predecessor and its successor, by the supervisor.
 * From: giver.ts and taker.ts.  To: the supervisor, which passes it on.
 * Bound: what giver.ts and taker.ts have under way.
 */
import type { FromChild, MoveWord } from '../../node/ipc.ts';
import type { SocketHandle } from '../endpoint/socket.ts';

/** To the supervisor, perhaps with a handle. */
export type ToSupervisor = (message: FromChild, handle?: SocketHandle) => void;

export class MoveLine {
  readonly #from: string;
  readonly #toSupervisor: ToSupervisor;
  /** Incarnations whose end was not seen; undefined: there is none. */
  predecessor: string | undefined;
  successor: string | undefined;
  /** This acceptor accepts: links may come. */
  isListening = true;

  constructor(from: string, predecessor: string | undefined, toSupervisor: ToSupervisor) {
    this.#from = from;
    this.predecessor = predecessor;
    this.#toSupervisor = toSupervisor;
  }

  readonly toSuccessor = (word: MoveWord, handle?: SocketHandle): void => {
    this.#pass(this.successor, word, handle);
  };

  readonly toPredecessor = (word: MoveWord): void => {
    this.#pass(this.predecessor, word);
  };

  #pass(to: string | undefined, word: MoveWord, handle?: SocketHandle): void {
    if (to !== undefined) this.#toSupervisor({ type: 'pass', from: this.#from, to, word }, handle);
  }
}
