/**
 * Origin: how a link came, and what its way has shown of who it is.
 * From: establish/.  To: Endpoint, for its address; identity/, for a proof.
 * Bound: one for all plain links of a listener; each TLS or proxied link has its own.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { ListenerConfig } from '../../base/listeners.ts';
import type { Protocol } from '../../wire/protocol.ts';

/** What a proxy has found of a device's TLS. */
export interface ProxiedTls {
  readonly hasClientCert: boolean;
  readonly isVerified: boolean;
  readonly commonName: string | undefined;
}

/** A socket that becomes a link. Without an origin it is refused, whoever it is. */
export interface Came {
  readonly socket: Socket;
  /** In the clock's µs. */
  readonly acceptedUs: number;
  readonly origin: Origin | undefined;
  readonly protocol: Protocol;
  /** Another process had the link until now: it is not read until it is told so. */
  readonly isAdopted?: true;
}

export interface Origin {
  readonly listener: ListenerConfig;
  /** Address and port, as a proxy says; '': the socket's own. */
  readonly peer: string;
  readonly secured?: TLSSocket;
  /** Its bytes come in the messages of a WebSocket. */
  readonly isWebSocket?: true;
  readonly pskIdentity?: string;
  readonly proxied?: ProxiedTls;
}
