/**
 * Listener: where one acceptor listens for one listener of the config.
 * From: the kernel, which spreads new connections over the listeners of a port (SO_REUSEPORT), or
 * gives those of a Unix socket to whoever accepts first.
 * To: admission.ts, sockets not yet read from.
 * Bound: `backlog` connections wait in the accept queues; admission.ts and intake.ts have others.
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

/** A handle that is kept open as long as the process lives: the server closes its file. */
export interface BoundSocket {
  readonly fd: number;
}

export class Listener {
  readonly #servers: readonly [Server, ...Server[]];
  readonly #backlog: number;

  /** A Unix socket has one queue, however many listen on it: `socketsMax` is 1 then. */
  constructor(
    limits: Limits,
    onSocket: (socket: Socket) => void,
    socketsMax: number = limits.listenSockets,
  ) {
    const { backlog } = limits;
    const listenSockets = Math.min(limits.listenSockets, socketsMax);
    this.#backlog = Math.ceil(backlog / listenSockets);
    const options = {
      // A device's FIN must not close our side before its last frames are handled.
      allowHalfOpen: true,
      noDelay: true,
      // Nothing is read, and so nothing allocated, before a socket was admitted.
      pauseOnConnect: true,
      highWaterMark: limits.outboxSoftBytes,
    };
    const others = { length: listenSockets - 1 };
    this.#servers = [
      createServer(options, onSocket),
      ...Array.from(others, () => createServer(options, onSocket)),
    ];
  }

  /** Resolves when listening; rejects with the system's error (EADDRINUSE, EACCES, ...). */
  async listen(host: string, port: number): Promise<void> {
    for (const [index, server] of this.#servers.entries()) {
      // With port 0 the kernel picks one, and the others join it there.
      const at = { host, port: index === 0 ? port : this.port, reusePort: true };
      await this.#listen(server, at);
    }
  }

  /** The same on a Unix socket that the supervisor has bound. */
  async listenOn({ fd }: BoundSocket): Promise<void> {
    await this.#listen(this.#servers[0], { fd });
  }

  #listen(server: Server, at: ListenOptions | BoundSocket): Promise<void> {
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ ...at, backlog: this.#backlog }, () => {
        server.off('error', reject);
        // One connection's accept error is that connection's; the listener goes on.
        server.on('error', () => {});
        resolve();
      });
    });
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
