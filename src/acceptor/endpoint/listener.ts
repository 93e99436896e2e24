/**
 * Listener: the shared-port sockets that one acceptor listens on.
 * From: the kernel, which spreads new connections over the listeners of a port (SO_REUSEPORT).
 * To: admission.ts, sockets not yet read from.
 * Bound: `backlog` connections wait in the accept queues; admission.ts and endpoints.ts have
 * others.
 *
 * libuv accepts one connection per listening socket and turn of the event loop. A turn gets long
 * just when many devices come, so with a single socket the accept queue overflows when it matters;
 * with `listenSockets` of them, that many links are accepted per turn.
 */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Limits } from '../../base/limits.ts';

export class Listener {
  readonly #servers: readonly [Server, ...Server[]];
  readonly #backlog: number;

  constructor(limits: Limits, onSocket: (socket: Socket) => void) {
    const { backlog, listenSockets } = limits;
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
      await this.#listen(server, host, index === 0 ? port : this.port);
    }
  }

  #listen(server: Server, host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, reusePort: true, backlog: this.#backlog }, () => {
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
