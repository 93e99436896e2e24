/**
 * MoveLine: the ways from this acceptor to its predecessors and its successors, by the supervisor.
 * From: giver.ts, taker.ts and listenerMove.ts.  To: the supervisor, which passes it on.
 * Bound: what those have under way; acceptors whose end was not seen.
 */
import type { FromChild, MoveWord } from '../../node/ipc.ts';
import type { SocketHandle } from '../endpoint/socket.ts';

/** To the supervisor, perhaps with a handle. */
export type ToSupervisor = (message: FromChild, handle?: SocketHandle) => void;

export class MoveLine {
  readonly #from: string;
  readonly #toSupervisor: ToSupervisor;
  /** Incarnations whose end was not seen. */
  readonly predecessors = new Set<string>();
  readonly successors = new Set<string>();
  /** This acceptor accepts: links may come. */
  isListening = true;

  constructor(from: string, predecessor: string | undefined, toSupervisor: ToSupervisor) {
    this.#from = from;
    if (predecessor !== undefined) this.predecessors.add(predecessor);
    this.#toSupervisor = toSupervisor;
  }

  /** To one whose end was not seen. */
  readonly pass = (to: string, word: MoveWord, handle?: SocketHandle): void => {
    if (this.predecessors.has(to) || this.successors.has(to)) {
      this.#toSupervisor({ type: 'pass', from: this.#from, to, word }, handle);
    }
  };
}
