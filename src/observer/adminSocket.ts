/**
 * AdminSocket: the listening socket of the admin pages, from one observer to the next, and how its
 * connections end.
 * From: observer.ts; the supervisor, which keeps the handle while nobody listens on it.
 * To: the HTTP server.
 * Bound: one. Whoever connects meanwhile waits in the kernel's queue. An end takes LINGER_MS, and
 * endIdle.ts's time.
 *
 *   listening --close--> lingering (answers, and says `connection: close`) --> emptying --> closed
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import * as net from 'node:net';
import type { FastifyInstance } from 'fastify';
import { unbound } from '../base/errors.ts';
import { endIdle, LINGER_MS, type Use } from './endIdle.ts';
import type { Heard } from './heard.ts';

/** `node:net` takes a handle of libuv, too; its types do not say so. */
type ListenOn = (handle: unknown, onListening: () => void) => void;

interface Handled {
  readonly _handle?: unknown;
}

interface Place {
  readonly host: string;
  readonly port: number;
}

interface Before {
  /** Its listening socket; undefined: there was none. */
  readonly socket?: unknown;
  readonly heard: Heard;
}

export class AdminSocket {
  readonly #admin: FastifyInstance;
  readonly #uses = new Map<net.Socket, Use>();
  #isEnding = false;

  /** Before anybody connects. */
  constructor(admin: FastifyInstance) {
    this.#admin = admin;
    const { server } = admin;
    server.on('connection', (socket) => {
      this.#uses.set(socket, { open: 0, restsAt: performance.now() });
      socket.once('close', () => this.#uses.delete(socket));
    });
    server.prependListener('request', (request, response) => this.#onRequest(request, response));
  }

  #onRequest({ socket }: IncomingMessage, response: ServerResponse): void {
    if (this.#isEnding) response.setHeader('connection', 'close');
    const use = this.#uses.get(socket);
    if (use === undefined) return;
    use.open += 1;
    response.once('close', () => {
      use.open -= 1;
      use.restsAt = performance.now();
    });
  }

  /** Resolves when it listens; rejects with a StartError. */
  async listen(place: Place, { socket, heard }: Before): Promise<void> {
    try {
      // Whoever asks waits in its queue until this knows as much as the one before it.
      if (socket !== undefined) await heard.all();
      if (socket === undefined) await this.#admin.listen(place);
      else await this.#listenOn(socket);
    } catch (error) {
      throw unbound(`admin port ${place.port}`, place.host, error);
    }
  }

  async #listenOn(socket: unknown): Promise<void> {
    await this.#admin.ready();
    const { server } = this.#admin;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      (server.listen as ListenOn).call(server, socket, resolve);
    });
  }

  get handle(): unknown {
    return (this.#admin.server as Handled)._handle;
  }

  /** From now on each answer is the last one of its connection. */
  async linger(): Promise<void> {
    this.#isEnding = true;
    await new Promise((resolve) => setTimeout(resolve, LINGER_MS));
  }

  /** Takes nobody any more. What was asked is answered. */
  async close(): Promise<void> {
    const { server } = this.#admin;
    this.#isEnding = true;
    // An HTTP server's own `close` also ends connections that were accepted a moment ago, and whose
    // request has not been read: they would be reset.
    const closed = new Promise<void>((resolve) => {
      net.Server.prototype.close.call(server, () => resolve());
    });
    await endIdle(() => this.#uses, closed);
    server.closeAllConnections();
    // It does not listen any more, which is an error there.
    await this.#admin.close().catch(() => {});
  }
}
