/**
 * Listener: where one acceptor listens for one listener of the config.
 * From: the kernel, which spreads new connections over the listeners of a port (SO_REUSEPORT), or
 * gives those of a Unix socket to whoever accepts first.
 * To: admission.ts, sockets not yet read from.
 * Bound: `backlog` connections wait in the accept queues of its own sockets, SOCKETS_MAX of which
 * there are, with others; admission.ts and intake.ts have bounds of their own.
 *
 * libuv accepts one connection per listening socket and turn of the event loop. A turn gets long
 * just when many devices come, so with a single socket the accept queue overflows when it matters;
 * with `listenSockets` of them, that many links are accepted per turn.
 */
import {
  type AddressInfo,
  createServer,
  type ListenOptions,
  type Server,
  type Socket,
} from 'node:net';
import type { Limits } from '../../base/limits.ts';
import type { SocketHandle } from './socket.ts';

/**
 * With those of acceptors that are no more (listenerMove.ts). What waits in the queue of a further
 * one is reset.
 */
const SOCKETS_MAX = 512;

/** A handle that is kept open as long as the process lives: the server closes its file. */
export interface BoundSocket {
  readonly fd: number;
}

/** libuv's handle of a TCP socket that listens. */
export interface ListeningHandle extends SocketHandle {
  getsockname(out: { port?: number }): number;
}

/**
 * `node:net` takes such a handle, too; its types do not say so. Of handles and files it reads the
 * backlog from here alone.
 */
type ListenOn = (
  on: ListeningHandle | BoundSocket,
  backlog: number,
  onListening: () => void,
) => void;

interface Handled {
  readonly _handle?: ListeningHandle | null;
}

export class Listener {
  #servers: [Server, ...Server[]];
  readonly #makeServer: () => Server;
  readonly #backlog: number;
  readonly #own: number;

  /** A Unix socket has one queue, however many listen on it: `socketsMax` is 1 then. */
  constructor(
    limits: Limits,
    onSocket: (socket: Socket) => void,
    socketsMax: number = limits.listenSockets,
  ) {
    const { backlog } = limits;
    const listenSockets = Math.min(limits.listenSockets, socketsMax);
    this.#backlog = Math.ceil(backlog / listenSockets);
    this.#own = listenSockets;
    const options = {
      // A device's FIN must not close our side before its last frames are handled.
      allowHalfOpen: true,
      noDelay: true,
      // Nothing is read, and so nothing allocated, before a socket was admitted.
      pauseOnConnect: true,
      highWaterMark: limits.outboxSoftBytes,
    };
    this.#makeServer = () => createServer(options, onSocket);
    const others = { length: listenSockets - 1 };
    this.#servers = [this.#makeServer(), ...Array.from(others, this.#makeServer)];
  }

  /** Resolves when listening; rejects with the system's error (EADDRINUSE, EACCES, ...). */
  async listen(host: string, port: number, given: readonly ListeningHandle[] = []): Promise<void> {
    const there = given.filter((handle) => isAt(handle, port));
    while (this.#servers.length < there.length) this.#servers.push(this.#makeServer());
    for (const [index, server] of this.#servers.entries()) {
      // With port 0 the kernel picks one, and the others join it there.
      const at = { host, port: index === 0 ? port : this.port, reusePort: true };
      const handle = there[index];
      if (handle === undefined) await this.#listen(server, at);
      else await this.#adopt(server, handle);
    }
  }

  /** These, too: they listen already. */
  async add(given: readonly ListeningHandle[]): Promise<void> {
    for (const handle of given.filter((one) => isAt(one, this.port))) {
      if (this.#servers.length >= SOCKETS_MAX) {
        handle.close();
        continue;
      }
      const server = this.#makeServer();
      await this.#adopt(server, handle);
      this.#servers.push(server);
    }
  }

  /** Sockets beyond those that it makes of its own. */
  get extra(): number {
    return Math.max(0, this.#servers.length - this.#own);
  }

  #adopt(server: Server, on: ListeningHandle | BoundSocket): Promise<void> {
    return listening(server, (done) => {
      (server.listen as ListenOn).call(server, on, this.#backlog, done);
    });
  }

  /** For another process: open here, too, until `suspend`. */
  handles(): ListeningHandle[] {
    return this.#servers.flatMap((server) => (server as Handled)._handle ?? []);
  }

  /**
   * For a process that joins, so that they are `among` then: an even part of all sockets, but none
   * of its own number. Open here, too, until `release`.
   */
  spare(among: number): ListeningHandle[] {
    const count = Math.min(this.extra, Math.floor(this.#servers.length / among));
    const from = this.#servers.length - count;
    return this.#servers.slice(from).flatMap((server) => (server as Handled)._handle ?? []);
  }

  /** Another process listens on these: what waits in their queues is its own. */
  release(handles: ReadonlySet<ListeningHandle>): void {
    const isGone = (server: Server) => {
      const { _handle } = server as Handled;
      return _handle && handles.has(_handle);
    };
    const [first, ...others] = this.#servers;
    for (const server of others.filter(isGone)) server.close();
    this.#servers = [first, ...others.filter((server) => server.listening)];
  }

  /** The same on a Unix socket that the supervisor has bound. */
  async listenOn({ fd }: BoundSocket): Promise<void> {
    await this.#adopt(this.#servers[0], { fd });
  }

  #listen(server: Server, at: ListenOptions): Promise<void> {
    return listening(server, (done) => server.listen({ ...at, backlog: this.#backlog }, done));
  }

  get isOpen(): boolean {
    return this.#servers[0].listening;
  }

  /** The port it listens on: the kernel's choice when `listen` was given 0. */
  get port(): number {
    return (this.#servers[0].address() as AddressInfo).port;
  }

  /** Accept no more. Links that are open stay. */
  suspend(): void {
    for (const server of this.#servers) server.close();
  }
}

/** Resolves when `listen` is done; rejects with the system's error. */
function listening(server: Server, listen: (done: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    listen(() => {
      server.off('error', reject);
      // One connection's accept error is that connection's; the listener goes on.
      server.on('error', () => {});
      resolve();
    });
  });
}

/** One that is elsewhere, by another config, is closed. */
function isAt(handle: ListeningHandle, port: number): boolean {
  if (portOf(handle) === port) return true;
  handle.close();
  return false;
}

export function portOf(handle: ListeningHandle): number | undefined {
  const at: { port?: number } = {};
  handle.getsockname(at);
  return at.port;
}
