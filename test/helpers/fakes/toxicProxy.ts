/**
 * ToxicProxy: TCP between the node and its broker, until it is cut without a FIN.
 * From: connections to `port`.  To: the same bytes at another port of this machine.
 * Bound: a cut connection keeps what the kernel has of it, and no more is read.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Both sides of one connection. */
class Pair {
  readonly #near: Socket;
  readonly #far: Socket;
  #isCut = false;

  constructor(near: Socket, far: Socket, onClose: () => void) {
    this.#near = near;
    this.#far = far;
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.setNoDelay(true);
      from.on('error', () => {});
      from.on('close', () => {
        // A side that gave up cannot tell the other through a cut cable.
        if (this.#isCut) return;
        to.destroy();
        onClose();
      });
    }
    this.resume();
  }

  resume(): void {
    this.#isCut = false;
    this.#near.pipe(this.#far);
    this.#far.pipe(this.#near);
  }

  /** Not a byte passes any more, and no FIN: as when a cable is pulled. */
  cut(): void {
    this.#isCut = true;
    this.#near.unpipe(this.#far).pause();
    this.#far.unpipe(this.#near).pause();
  }

  resetNear(): void {
    this.cut();
    reset(this.#near);
  }

  destroy(): void {
    reset(this.#near);
    reset(this.#far);
  }
}

/** RST, unless FIN is on its way: Node 26 would never close such a socket, and hang at its end. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

export class ToxicProxy {
  readonly #server: Server;
  readonly #target: number;
  readonly #pairs = new Set<Pair>();
  /** Connections that came while all was cut: they go through as soon as it is not. */
  #held: Socket[] = [];
  #isCut = false;

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#target = target;
    server.on('connection', (socket) => {
      // Half a connection is no connection here: AMQP does not use one.
      socket.on('error', () => {});
      if (this.#isCut) this.#held.push(socket.pause());
      else this.#join(socket);
    });
  }

  /** Listens on a free port of loopback, for a broker on `target`. */
  static async start(target: number): Promise<ToxicProxy> {
    const server = createServer({ pauseOnConnect: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new ToxicProxy(server, target);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The same URL, by way of this proxy. */
  urlFor(url: string): string {
    const at = new URL(url);
    at.port = String(this.port);
    return at.href;
  }

  #join(near: Socket): void {
    const far = connect(this.#target, '127.0.0.1');
    const pair = new Pair(near, far, () => this.#pairs.delete(pair));
    this.#pairs.add(pair);
  }

  /** Nothing passes from now on, in either direction, and neither side is told. */
  cut(): void {
    this.#isCut = true;
    for (const pair of this.#pairs) pair.cut();
  }

  /** New connections pass again. Those that were cut stay so, until a side gives them up. */
  heal(): void {
    this.#isCut = false;
    const held = this.#held.filter((socket) => !socket.destroyed);
    this.#held = [];
    for (const socket of held) this.#join(socket);
  }

  /** Everything goes on where it stopped, as if the cable had been plugged in again. */
  resume(): void {
    for (const pair of this.#pairs) pair.resume();
    this.heal();
  }

  /** RST to the side that had connected; the target is not told, and goes on as if nothing was. */
  resetNear(): void {
    for (const pair of this.#pairs) pair.resetNear();
  }

  /** RST on every connection. */
  reset(): void {
    for (const pair of this.#pairs) pair.destroy();
  }

  stop(): void {
    this.reset();
    for (const socket of this.#held) socket.destroy();
    this.#server.close();
  }
}
