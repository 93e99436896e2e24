/**
 * Listeners: all places where one acceptor listens.
 * From: the config's listeners, and the supervisor's Unix sockets.  To: admission.ts, each socket
 * with the listener that it came by.
 * Bound: listener.ts's, for each.
 */
import type { Socket } from 'node:net';
import type { Limits } from '../../base/limits.ts';
import type { ListenerConfig } from '../../base/listeners.ts';
import { type BoundSocket, Listener } from './listener.ts';

interface Place {
  readonly config: ListenerConfig;
  readonly listener: Listener;
}

export class Listeners {
  readonly #places: readonly Place[];

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

  /** Resolves when all listen; rejects with the system's error. `sockets`: Unix, by name. */
  async listen(sockets: ReadonlyMap<string, BoundSocket>): Promise<void> {
    for (const { config, listener } of this.#places) {
      const bound = sockets.get(config.name);
      if (bound === undefined) await listener.listen(config.host, config.port);
      else await listener.listenOn(bound);
    }
  }

  /** Accept no more. Links that are open stay. */
  suspend(): void {
    for (const { listener } of this.#places) listener.suspend();
  }
}

/** Whoever connects there waits for TLS, or is a proxy: a frame would tell it nothing. */
export function speaksLater({ tls, proxyProtocol }: ListenerConfig): boolean {
  return tls !== undefined || proxyProtocol === 'require';
}
