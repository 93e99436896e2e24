/**
 * Intake: a socket becomes a link, or is told to come back later.
 * From: endpoints.ts: sockets that were admitted, or are to be refused.  To: a new Endpoint.
 * Bound: `linksMax` sockets, those that linger included; `refusingMax` refused ones have their BYE
 * under way at once, and beyond that they are reset.
 */
import type { Socket } from 'node:net';
import { v4 as uuid } from 'uuid';
import type { ByeReason } from '../../base/errors.ts';
import type { ListenerConfig } from '../../base/listeners.ts';
import { bump } from '../../base/metrics.ts';
import type { Protocol, Protocols } from '../../wire/protocol.ts';
import { adoptLink } from './adopt.ts';
import { Endpoint } from './endpoint.ts';
import type { EndpointHost } from './host.ts';
import type { LinkDeadlines } from './linkDeadlines.ts';
import type { Origin } from './origin.ts';
import { peerOf } from './peer.ts';
import type { Registry } from './registry.ts';
import type { Refusals, RefusedLink, Restorer } from './routes.ts';
import type { LinkSnapshot } from './snapshot.ts';
import { type SocketHandle, socketOf } from './socket.ts';
import type { Spread } from './spread.ts';

export interface IntakeOptions {
  /** Of every endpoint made here. */
  readonly host: EndpointHost;
  readonly registry: Registry<Endpoint>;
  readonly deadlines: LinkDeadlines;
  readonly refusals: Refusals;
  readonly restorer: Restorer;
  readonly protocols: Protocols;
  readonly linksMax: number;
  readonly filesTaken: () => number;
  readonly spread: Spread;
}

export class Intake {
  readonly #options: IntakeOptions;
  /** Sockets that were refused, and are not gone yet. */
  #refusing = 0;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** Sockets that fit below `linksMax`. One that lingers takes up room until it is gone. */
  get room(): number {
    const { host, linksMax, filesTaken } = this.#options;
    return linksMax - filesTaken() - (host.counters.sockets - this.#refusing);
  }

  /** Own an accepted socket from now on. A full acceptor says so and lets it go. */
  accept(socket: Socket, acceptedUs: number, origin: Origin): void {
    if (this.room <= 0) {
      this.refuse(socket, origin.listener, 'server-full');
      return;
    }
    const { host, registry, deadlines } = this.#options;
    host.counters.accepts += 1;
    host.counters.sockets += 1;
    const protocol = this.#protocolAt(origin.listener);
    const endpoint = new Endpoint(uuid(), { socket, acceptedUs, origin, protocol }, host);
    registry.register(endpoint);
    host.counters.links += 1;
    deadlines.accepted(endpoint);
  }

  /** Own a link that another process had. It counts as no new one. */
  adopt(snapshot: LinkSnapshot, handle: SocketHandle): Endpoint | undefined {
    const { host, registry, deadlines, restorer } = this.#options;
    const { proof, listener, peer } = snapshot;
    const protocol = restorer.protocol(snapshot.protocol, listener);
    const restored = restorer.origin(proof, listener, peer);
    if (this.room <= 0 || protocol === undefined || restored === undefined) return undefined;
    const socket = socketOf(handle, host.limits.outboxSoftBytes);
    host.counters.sockets += 1;
    const endpoint = adoptLink(snapshot, { socket, protocol, ...restored }, host);
    registry.register(endpoint);
    restorer.onAdopted(socket, peer);
    bump(host.counters.moves, 'in');
    host.counters.links += 1;
    deadlines.opened(endpoint, proof.expiresAt);
    return endpoint;
  }

  /**
   * Tell a new device to come back later. Beyond `refusingMax` at once it is told by a reset. So is
   * one that `isMute`: it waits for TLS, or a proxy does, and not for a frame.
   */
  refuse(
    socket: Socket,
    listener: ListenerConfig,
    reason: ByeReason,
    spreadMs?: number,
    isMute = false,
  ): void {
    const { host, refusals, spread } = this.#options;
    const { counters, limits, clock } = host;
    counters.accepts += 1;
    if (isMute || this.#refusing >= limits.refusingMax) {
      bump(counters.closes, reason);
      refusals.onRefusal(strangerOf(socket), reason);
      socket.resetAndDestroy();
      return;
    }
    counters.sockets += 1;
    this.#refusing += 1;
    socket.once('close', () => {
      this.#refusing -= 1;
    });
    const endpoint = new Endpoint(
      uuid(),
      {
        ...{ socket, acceptedUs: clock.us(), origin: undefined },
        protocol: this.#protocolAt(listener),
      },
      host,
    );
    refusals.onRefusal(endpoint, reason);
    endpoint.close(reason, spread(spreadMs ?? limits.serverFullRetryMs));
  }

  /** The config has no listener whose protocol is not there. */
  #protocolAt({ protocol: word }: ListenerConfig): Protocol {
    const factory = this.#options.protocols.get(word);
    if (factory === undefined) throw new Error(`nothing speaks ${word}`);
    return factory.make(this.#options.host.limits);
  }
}

/** A link that has no endpoint. Its address costs a system call, so it is looked up when asked. */
function strangerOf(socket: Socket): RefusedLink {
  return {
    deviceId: '',
    get peer() {
      return peerOf(socket);
    },
  };
}
