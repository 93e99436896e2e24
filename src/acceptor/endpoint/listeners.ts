/**
 * Listeners: all places where one acceptor listens.
 * From: the config's listeners, and the supervisor's Unix sockets.  To: admission.ts, each socket
 * with the listener that it came by.
 * Bound: listener.ts's, for each.
 */
import type { Socket } from 'node:net';
import type { Limits } from '../../base/limits.ts';
import type { ListenerConfig } from '../../base/listeners.ts';
import { type BoundSocket, Listener, type ListeningHandle, portOf } from './listener.ts';

interface Place {
  readonly config: ListenerConfig;
  readonly listener: Listener;
}

/** A socket that listens, of a listener, by its number there. */
export interface PlacedHandle {
  readonly name: string;
  readonly host: string;
  readonly socket: number;
  readonly handle: ListeningHandle;
}

export class Listeners {
  readonly #places: readonly Place[];
  /** Not suspended. */
  #isOpen = false;

  constructor(
    listeners: readonly ListenerConfig[],
    limits: Limits,
    onSocket: (socket: Socket, listener: ListenerConfig) => void,
  ) {
    this.#places = listeners.map((config) => {
      const onConnection = (socket: Socket) => onSocket(socket, config);
      const socketsMax = config.unix === '' ? limits.listenSockets : 1;
      return { config, listener: new Listener(limits, onConnection, socketsMax) };
    });
  }

  /**
   * Resolves when all listen; rejects with the system's error. `sockets`: Unix, by name; `given`:
   * TCP sockets that listen already, in another process too. Those of no listener here are closed.
   */
  async listen(
    sockets: ReadonlyMap<string, BoundSocket>,
    given: ReadonlyMap<string, readonly ListeningHandle[]> = new Map(),
  ): Promise<void> {
    this.#isOpen = true;
    for (const { config, listener } of this.#places) {
      const bound = sockets.get(config.name);
      const { host, port } = config;
      if (bound !== undefined) await listener.listenOn(bound);
      else await listener.listen(host, port, given.get(config.name));
    }
    for (const [name, handles] of given) {
      if (!this.#tcpAt(name)) for (const handle of handles) handle.close();
    }
  }

  /**
   * Whose place this is, a socket of a predecessor's listener: by its address, as names may have
   * changed; undefined: nobody's any more.
   */
  nameOf(
    { name, host }: { readonly name: string; readonly host?: string | undefined },
    handle: ListeningHandle,
  ): string | undefined {
    if (host === undefined) return name;
    const port = portOf(handle);
    const isIt = ({ config }: Place) =>
      config.unix === '' && config.host === host && config.port === port;
    return this.#places.find(isIt)?.config.name;
  }

  /** Sockets of a port that listen already, beside those that are here. */
  async add(given: ReadonlyMap<string, readonly ListeningHandle[]>): Promise<void> {
    for (const [name, handles] of given) {
      const place = this.#tcpAt(name);
      if (place) await place.listener.add(handles);
      else for (const handle of handles) handle.close();
    }
  }

  #tcpAt(name: string): Place | undefined {
    return this.#places.find(({ config }) => config.name === name && config.unix === '');
  }

  /** Listening sockets beyond those that each listener makes of its own: open files. */
  get extra(): number {
    return this.#places.reduce((sum, { listener }) => sum + listener.extra, 0);
  }

  /** TCP sockets that listen. */
  handles(): PlacedHandle[] {
    return this.#ofTcp((listener) => listener.handles());
  }

  /** For an acceptor that joins: listener.ts. */
  spare(among: number): PlacedHandle[] {
    return this.#ofTcp((listener) => listener.spare(among));
  }

  #ofTcp(pick: (listener: Listener) => readonly ListeningHandle[]): PlacedHandle[] {
    const tcp = this.#places.filter(({ config }) => config.unix === '');
    return tcp.flatMap(({ config: { name, host }, listener }) =>
      pick(listener).map((handle, socket) => ({ name, host, socket, handle })),
    );
  }

  release(handles: ReadonlySet<ListeningHandle>): void {
    for (const { listener } of this.#places) listener.release(handles);
  }

  /** Whether it accepts on Unix sockets; none: there are none, or nothing is listened on. */
  get unix(): 'none' | 'open' | 'closed' {
    if (!this.#isOpen || this.#unix.length === 0) return 'none';
    return this.#unix.every(({ listener }) => listener.isOpen) ? 'open' : 'closed';
  }

  get #unix(): readonly Place[] {
    return this.#places.filter(({ config }) => config.unix !== '');
  }

  /** Leave what comes on Unix sockets to others that accept from them. */
  closeUnix(): void {
    for (const { listener } of this.#unix) listener.suspend();
  }

  /** Another handle of one: accept there, too, if it is not done already. */
  async openUnix(name: string, bound: BoundSocket): Promise<void> {
    const place = this.#unix.find(({ config }) => config.name === name);
    if (this.#isOpen && place?.listener.isOpen === false) await place.listener.listenOn(bound);
  }

  /** Accept no more. Links that are open stay. */
  suspend(): void {
    this.#isOpen = false;
    for (const { listener } of this.#places) listener.suspend();
  }
}

/** Whoever connects there waits for TLS or a WebSocket, or is a proxy: a frame tells it nothing. */
export function speaksLater({ tls, proxyProtocol, protocol }: ListenerConfig): boolean {
  return tls !== undefined || proxyProtocol === 'require' || protocol === 'mqtt-ws';
}
