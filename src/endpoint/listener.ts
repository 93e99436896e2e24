/**
 * Listener: the shared-port server of one acceptor.
 * From: the kernel, which spreads new connections over the listeners of a port (SO_REUSEPORT).
 * To: the gate, sockets not yet read from.
 * Bound: `backlog` connections wait in the accept queue; the gate and the keeper have the others.
 */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Limits } from '../limits.ts';

export class Listener {
  readonly #server: Server;
  readonly #backlog: number;

  constructor(limits: Limits, onSocket: (socket: Socket) => void) {
    this.#backlog = limits.backlog;
    this.#server = createServer(
      {
        // A device's FIN must not close our side before its last frames are handled.
        allowHalfOpen: true,
        noDelay: true,
        // Nothing is read, and so nothing allocated, before a socket has passed the gate.
        pauseOnConnect: true,
        highWaterMark: limits.outboxSoftBytes,
      },
      onSocket,
    );
  }

  /** Resolves when listening; rejects with the system's error (EADDRINUSE, EACCES, ...). */
  listen(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, reusePort: true, backlog: this.#backlog }, () => {
        this.#server.off('error', reject);
        // One connection's accept error is that connection's; the listener goes on.
        this.#server.on('error', () => {});
        resolve();
      });
    });
  }

  /** The port it listens on: the kernel's choice when `listen` was given 0. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Accept no more. Links that are open stay. */
  suspend(): void {
    this.#server.close();
  }
}
