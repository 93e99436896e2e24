/**
 * Guests: the connections to the admin port, so that none of them blocks health for the others.
 * From: the HTTP server's connections and requests.  To: admin.ts's pages, one answer at a time for
 * each connection; the figure of those that were closed, by reason.
 * Bound: `adminConnectionsMax`. One more, and the connection without progress for the longest time
 * is closed, of the address that holds most: a client that fills the port displaces itself. Of one
 * connection `adminPipelinedMax` requests wait at most; it has `adminStallMs` to read an answer.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Limits } from '../base/limits.ts';

/** Why an admin connection was closed. `silent`: it never sent a request. */
export const GUEST_ENDS = ['full', 'pipelined', 'stalled', 'silent'] as const;
type GuestEnd = (typeof GUEST_ENDS)[number];
export type GuestEnds = Readonly<Record<GuestEnd, number>>;
export const NO_GUESTS: GuestEnds = { full: 0, pipelined: 0, stalled: 0, silent: 0 };

const BEAT_MS = 2_000;

type Serve = (request: IncomingMessage, response: ServerResponse) => void;
type Ask = readonly [IncomingMessage, ServerResponse];

interface Guest {
  readonly socket: Socket;
  readonly address: string;
  /** Requests that wait for the answer before theirs: taken whole, so none is half an object. */
  readonly waiting: Ask[];
  isAnswering: boolean;
  timer: NodeJS.Timeout | undefined;
}

export class Guests {
  readonly ends: Record<GuestEnd, number> = { ...NO_GUESTS };
  readonly #limits: Limits;
  /** By address. Each set is in the order of progress: the first one has waited longest. */
  readonly #rooms = new Map<string, Set<Guest>>();
  readonly #bySocket = new WeakMap<Socket, Guest>();
  #size = 0;
  #isTrimming = false;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** From now on its connections are guests. */
  watch(server: Server): void {
    server.on('connection', (socket: Socket) => this.#onConnection(socket));
  }

  #onConnection(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const guest: Guest = { socket, address, waiting: [], isAnswering: false, timer: undefined };
    this.#bySocket.set(socket, guest);
    this.#size += 1;
    this.#progress(guest);
    guest.timer = setTimeout(() => this.#end(guest, 'silent'), this.#limits.adminStallMs);
    socket.once('close', () => this.#forget(guest));
    this.#trimSoon();
  }

  #forget(guest: Guest): void {
    clearTimeout(guest.timer);
    guest.waiting.length = 0;
    const room = this.#rooms.get(guest.address);
    if (!room?.delete(guest)) return;
    if (room.size === 0) this.#rooms.delete(guest.address);
    this.#size -= 1;
  }

  #progress(guest: Guest): void {
    const room = this.#rooms.get(guest.address) ?? new Set();
    this.#rooms.set(guest.address, room);
    room.delete(guest);
    room.add(guest);
  }

  /**
   * Not at once: a turn of the loop accepts all waiting connections, and only the next one reads
   * from them. By then those that sent a request come after the silent ones.
   */
  #trimSoon(): void {
    if (this.#isTrimming || this.#size <= this.#limits.adminConnectionsMax) return;
    this.#isTrimming = true;
    setImmediate(() => setImmediate(() => this.#trim()));
  }

  #trim(): void {
    this.#isTrimming = false;
    while (this.#size > this.#limits.adminConnectionsMax) {
      const [most] = [...this.#rooms.values()].toSorted((a, b) => b.size - a.size);
      const [oldest] = most ?? [];
      if (oldest === undefined) return;
      this.#end(oldest, 'full');
    }
  }

  #end(guest: Guest, why: GuestEnd): void {
    if (guest.socket.destroyed) return;
    this.ends[why] += 1;
    this.#forget(guest);
    // A reset, so that the kernel does not keep what it has not read either.
    guest.socket.resetAndDestroy();
  }

  /** `serve` for one request of a connection at a time; the next one when that is answered. */
  oneByOne(serve: Serve): Serve {
    return (request, response) => {
      const guest = this.#bySocket.get(request.socket);
      if (guest === undefined || guest.socket.destroyed) return;
      if (guest.waiting.length >= this.#limits.adminPipelinedMax) {
        this.#end(guest, 'pipelined');
        return;
      }
      guest.waiting.push([request, response]);
      if (!guest.isAnswering) this.#next(guest, serve);
    };
  }

  /** How often an answer that goes on has to be written to, if it is not to count as stalled. */
  get beatMs(): number {
    return Math.min(BEAT_MS, this.#limits.adminStallMs / 3);
  }

  /** Of an answer that goes on, all that there was to read has been read. */
  progressed(socket: Socket): void {
    const guest = this.#bySocket.get(socket);
    if (guest === undefined || socket.destroyed) return;
    this.#progress(guest);
    this.#stallLater(guest);
  }

  #stallLater(guest: Guest): void {
    clearTimeout(guest.timer);
    guest.timer = setTimeout(() => this.#end(guest, 'stalled'), this.#limits.adminStallMs);
  }

  #next(guest: Guest, serve: Serve): void {
    clearTimeout(guest.timer);
    const ask = guest.waiting.shift();
    guest.isAnswering = ask !== undefined;
    if (ask === undefined || guest.socket.destroyed) return;
    this.#progress(guest);
    this.#stallLater(guest);
    const [request, response] = ask;
    // `finish`: the kernel has all of it.
    response.once('finish', () => this.#next(guest, serve));
    serve(request, response);
  }
}
