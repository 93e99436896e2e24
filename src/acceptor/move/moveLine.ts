/**
 * MoveLine: the ways from this acceptor to its predecessors and its successors, and to those with
 * which it shares listening sockets, by the supervisor.
 * From: giver.ts, taker.ts and listenerMove.ts.  To: the supervisor, which passes it on.
 * Bound: what those have under way; acceptors whose end was not seen; the node's acceptors.
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
  /** One of the two joins the other. */
  readonly sharers: Set<string>;
  /** This acceptor accepts: links may come. */
  isListening = true;

  constructor(
    from: string,
    {
      predecessor,
      joins = [],
    }: {
      readonly predecessor?: string | undefined;
      readonly joins?: readonly string[] | undefined;
    },
    toSupervisor: ToSupervisor,
  ) {
    this.#from = from;
    this.sharers = new Set(joins);
    if (predecessor !== undefined) this.predecessors.add(predecessor);
    this.#toSupervisor = toSupervisor;
  }

  /** To one whose end was not seen; for the others the supervisor knows that. */
  readonly pass = (to: string, word: MoveWord, handle?: SocketHandle): void => {
    if (this.predecessors.has(to) || this.successors.has(to) || this.sharers.has(to)) {
      this.#toSupervisor({ type: 'pass', from: this.#from, to, word }, handle);
    }
  };
}
