/**
 * Entrance: the ways by which links come, one for each listener; and TLS, whose files may change.
 * From: admission.ts, sockets with their listener.  To: establish.ts; and by it, endpoints.ts.
 * Bound: establish.ts's.
 */
import type { Socket } from 'node:net';
import type { Limits } from '../../base/limits.ts';
import type { ListenerConfig } from '../../base/listeners.ts';
import { readCidrs } from '../../base/networks.ts';
import type { Origin } from '../endpoint/origin.ts';
import { addressOfPeer } from '../endpoint/peer.ts';
import type { Addresses } from './addresses.ts';
import { Establish, type EstablishOptions, type Way } from './establish.ts';
import type { ListenerFiles } from './listenerFiles.ts';
import { TlsServer } from './tlsServer.ts';
import { WebSocketServer } from './webSocketServer.ts';

export interface EntranceOptions extends EstablishOptions {
  readonly limits: Limits;
  readonly listeners: readonly ListenerConfig[];
  readonly files: ListenerFiles;
  /** 48 bytes: of TLS tickets, the same in all acceptors. */
  readonly ticketKey: Buffer;
}

interface Door {
  readonly way: Way;
  /** The origin of all links that show nothing. */
  readonly plain: Origin;
}

export class Entrance {
  readonly #files: ListenerFiles;
  readonly #limits: Limits;
  readonly #establish: Establish;
  readonly #doors: ReadonlyMap<ListenerConfig, Door>;

  constructor(options: EntranceOptions) {
    const { listeners, files, ticketKey, limits, addresses, onReady } = options;
    const counted = limits.linksPerAddressMax === 0 ? onReady : countedBy(addresses, onReady);
    this.#files = files;
    this.#limits = limits;
    this.#establish = new Establish({ ...options, onReady: counted });
    this.#doors = new Map(listeners.map((one) => [one, this.#doorOf(one, ticketKey)]));
  }

  #doorOf(listener: ListenerConfig, ticketKey: Buffer): Door {
    const { tls, proxyFrom, unix } = listener;
    const read = this.#files.of(listener);
    const secrets = { ticketKey, keys: read.keys };
    const server =
      tls && read.tls && new TlsServer({ ...listener, tls }, read.tls, secrets, this.#establish);
    // Whoever may open a Unix socket is trusted by its mode.
    const proxies = unix === '' && proxyFrom.length > 0 ? readCidrs(proxyFrom) : undefined;
    const isWeb = listener.protocol === 'mqtt-ws';
    const web = isWeb ? new WebSocketServer(this.#limits, this.#establish) : undefined;
    return { way: { listener, tls: server, web, proxies }, plain: { listener, peer: '' } };
  }

  /** Own an admitted socket, until it is a link or over. */
  begin(listener: ListenerConfig, socket: Socket, acceptedUs: number): void {
    const door = this.#doors.get(listener);
    if (door) this.#establish.begin(door.way, door.plain, socket, acceptedUs);
  }

  /** The files of this listener were read again. */
  renew(listener: ListenerConfig, ticketKey: Buffer): void {
    const { tls, keys } = this.#files.of(listener);
    if (tls) this.#doors.get(listener)?.way.tls?.renew(tls, { ticketKey, keys });
  }

  /** End what is overdue. */
  tick(now: number): void {
    this.#establish.tick(now);
  }

  /** The acceptor stops: nobody comes any more. */
  close(): void {
    this.#establish.close();
  }
}

/** Only where links of an address are limited, as it costs each link a closure. */
function countedBy(
  addresses: Addresses,
  onReady: EstablishOptions['onReady'],
): EstablishOptions['onReady'] {
  return (socket, acceptedUs, origin) => {
    countLink(addresses, socket, origin.peer);
    onReady(socket, acceptedUs, origin);
  };
}

/** Counts a link of this address, as a proxy or the socket says, until it is closed. */
export function countLink(addresses: Addresses, socket: Socket, peer: string): void {
  const address = addressOfPeer(peer) || (socket.remoteAddress ?? '');
  addresses.opened(address);
  socket.once('close', () => addresses.closed(address));
}
