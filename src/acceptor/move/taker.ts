/**
 * Taker: the successor's side of a move: it adopts its predecessors' links, and reads them when it
 * is told so, or when the end of their own one was seen. By docs/presence-spec.md, "Moves".
 * From: a predecessor's words, by way of the supervisor; the supervisor's `gone`.
 * To: endpoints that do not read yet, and then do; presence; ready and dropped back.
 * Bound: each predecessor's `window` of links that are adopted and not read.
 *
 *   offer --ready--> adopted --go, or the predecessor's end is seen--> read
 *                       '--cancel--> dropped
 */
import type { Trace } from '../../base/trace.ts';
import type { MoveWord } from '../../node/ipc.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { Endpoints } from '../endpoint/endpoints.ts';
import type { SocketHandle } from '../endpoint/socket.ts';
import type { LinkChanges } from '../linkChanges.ts';
import { decodeSnapshot } from './snapshotBytes.ts';

export interface TakerOptions {
  readonly endpoints: Pick<Endpoints, 'adopt'>;
  readonly changes: Pick<LinkChanges, 'onTaken' | 'predecessorGone'>;
  readonly trace: Trace;
  /** The stream to the registrar has something to send. */
  readonly wake: () => void;
  /** Who looks at its device is told. */
  readonly onTaken: (endpoint: Endpoint) => void;
  /** Of a link that is taken by an acceptor that ends. */
  readonly retryAfter: () => number;
  /** By the supervisor to this predecessor. */
  readonly send: (to: string, word: MoveWord) => void;
}

interface Adopted {
  readonly endpoint: Endpoint;
  /** Its predecessor. */
  readonly from: string;
}

export class Taker {
  readonly #options: TakerOptions;
  /** By connection id: a copy that is not read. */
  readonly #adopted = new Map<string, Adopted>();
  #isSuspended = false;

  constructor(options: TakerOptions) {
    this.#options = options;
  }

  /** Links that are not read yet. */
  get size(): number {
    return this.#adopted.size;
  }

  onOffer(
    from: string,
    { connection, snapshot }: { readonly connection: string; readonly snapshot: string },
    handle: SocketHandle | undefined,
  ): void {
    const { send, trace } = this.#options;
    const isWanted = handle !== undefined && !this.#isSuspended;
    const endpoint = isWanted ? this.#adopt(connection, snapshot, handle) : undefined;
    if (endpoint === undefined) {
      handle?.close();
      // tla: Presence!Refuse
      trace('Refuse', { connection });
      send(from, { what: 'dropped', connection });
      return;
    }
    this.#adopted.set(connection, { endpoint, from });
    // tla: Presence!Adopt
    trace('Adopt', { connection });
    send(from, { what: 'ready', connection });
  }

  #adopt(connection: string, base64: string, handle: SocketHandle): Endpoint | undefined {
    const snapshot = decodeSnapshot(Buffer.from(base64, 'base64'));
    if (snapshot === undefined || snapshot.id !== connection) return undefined;
    return this.#options.endpoints.adopt(snapshot, handle);
  }

  onWord(
    from: string,
    { what, connection }: { readonly what: 'go' | 'cancel'; connection: string },
  ): void {
    const { send, trace } = this.#options;
    const adopted = this.#adopted.get(connection);
    const endpoint = adopted?.from === from ? adopted.endpoint : undefined;
    if (endpoint) this.#adopted.delete(connection);
    if (what === 'cancel') {
      endpoint?.leave();
      // tla: Presence!Drop
      trace('Drop', { connection });
      send(from, { what: 'dropped', connection });
    } else if (endpoint !== undefined) {
      // tla: Presence!TakeGo
      trace('TakeGo', { connection });
      this.#read(endpoint);
    }
  }

  /** The end of this predecessor was seen: nobody else has what is adopted from it. */
  onGone(predecessor: string): void {
    const { changes, trace, wake } = this.#options;
    const adopted = [...this.#adopted].filter(([, { from }]) => from === predecessor);
    // tla: Presence!PredecessorGone
    trace('PredecessorGone', { of: predecessor });
    for (const [connection, { endpoint }] of adopted) {
      this.#adopted.delete(connection);
      this.#read(endpoint);
    }
    changes.predecessorGone(predecessor);
    wake();
  }

  /** Its end is told behind its begin, should it end at once. */
  #read(endpoint: Endpoint): void {
    const { changes, onTaken, wake } = this.#options;
    changes.onTaken(endpoint);
    onTaken(endpoint);
    endpoint.thaw();
    if (this.#isSuspended) endpoint.close('draining', this.#options.retryAfter());
    wake();
  }

  /** This acceptor ends: it takes no more, and ends what it has still to take. */
  suspend(): void {
    this.#isSuspended = true;
  }

  /** Nobody passes anything on any more: the predecessor has what was not given. */
  stop(): void {
    for (const { endpoint } of this.#adopted.values()) endpoint.leave();
    this.#adopted.clear();
  }
}
