/**
 * TlsServer: TLS of one listener: certificates, client certificates, PSK, tickets.
 * From: establish.ts, sockets whose first bytes are there.  To: the same, each as a TLS socket when
 * its handshake is done, or with the reason why it failed.
 * Bound: establish.ts bounds the handshakes and their time. A client certificate that is not
 * verified does not end the handshake: identity.ts refuses it, so that log and counter say why.
 *
 * It is a `tls.Server` that never listens: sockets are handed to it one by one.
 */
import type { Socket } from 'node:net';
import { createServer, DEFAULT_CIPHERS, type Server, type TLSSocket } from 'node:tls';
import { devicePskKey, type GroupKeys } from '../../base/deviceKeys.ts';
import type { ListenerConfig, TlsConfig } from '../../base/listeners.ts';
import { DEVICE_ID } from '../../base/names.ts';
import type { Crl } from '../identity/crl.ts';
import { contextOf, type TlsFiles } from './tlsFiles.ts';

export interface TlsEvents {
  /** The handshake is done. `pskIdentity`: the key that it was done with, not a certificate. */
  onSecure(socket: Socket, secured: TLSSocket, pskIdentity: string | undefined): void;
  onFailure(socket: Socket, code: string): void;
}

export interface TlsSecrets {
  /** 48 bytes, the same in all acceptors: a ticket of one is good for the others. */
  readonly ticketKey: Buffer;
  /** For PSK; undefined: none. */
  readonly keys: GroupKeys | undefined;
}

/** Any text, but the same in all acceptors and over restarts: tickets are bound to it. */
const SESSION_CONTEXT = 'owsla';
/** After a day a device shows again who it is, and how long a stolen ticket is good for. */
const TICKET_SECONDS = 86_400;
/** Those of Node, and PSK, which it leaves out. */
const PSK_CIPHERS = `${DEFAULT_CIPHERS.replace(':!PSK', '')}:PSK`;
/** `<keyId>.<device>`. */
const IDENTITY_LENGTH_MAX = 32 + 1 + 64;

/** What Node knows of a TLS socket and has not in its types: the socket that it was made of. */
interface Wrapped extends TLSSocket {
  readonly _parent: Socket;
}

export class TlsServer {
  readonly #config: TlsConfig;
  readonly #hasPsk: boolean;
  readonly #server: Server;
  /** Identities of handshakes with PSK, until they are done. */
  readonly #identities = new WeakMap<TLSSocket, string>();
  #secrets: TlsSecrets;
  #files: TlsFiles;

  constructor(
    listener: ListenerConfig & { readonly tls: TlsConfig },
    files: TlsFiles,
    secrets: TlsSecrets,
    events: TlsEvents,
  ) {
    this.#config = listener.tls;
    this.#hasPsk = listener.auth.includes('psk');
    this.#secrets = secrets;
    this.#files = files;
    this.#server = createServer({
      ...this.#context(),
      requestCert: listener.tls.clientCert !== 'none',
      rejectUnauthorized: false,
      // establish.ts has the deadline.
      handshakeTimeout: 2 ** 31 - 1,
      // A device's FIN must not close our side before its last frames are handled.
      allowHalfOpen: true,
      ...(this.#hasPsk ? { pskCallback: this.#pskCallback } : {}),
    });
    this.#server.on('secureConnection', (secured: TLSSocket) => {
      events.onSecure((secured as Wrapped)._parent, secured, this.#identities.get(secured));
    });
    this.#server.on('tlsClientError', (error: NodeJS.ErrnoException, secured: TLSSocket) => {
      events.onFailure((secured as Wrapped)._parent, error.code ?? 'unknown');
    });
  }

  /** What the CA has revoked. */
  get revoked(): Crl | undefined {
    return this.#files.revoked;
  }

  /** Begin a handshake. It owns the socket from now on. */
  accept(socket: Socket): void {
    this.#server.emit('connection', socket);
  }

  /** For handshakes from now on. */
  renew(files: TlsFiles, secrets: TlsSecrets): void {
    this.#files = files;
    this.#secrets = secrets;
    this.#server.setSecureContext(this.#context());
  }

  #context() {
    return {
      ...contextOf(this.#files),
      minVersion: `TLSv${this.#config.min}` as const,
      ...(this.#hasPsk ? { ciphers: PSK_CIPHERS } : {}),
      ticketKeys: this.#secrets.ticketKey,
      sessionTimeout: TICKET_SECONDS,
      sessionIdContext: SESSION_CONTEXT,
    };
  }

  readonly #pskCallback = (socket: TLSSocket, identity: string) => this.#keyOf(socket, identity);

  /** The key of `identity`, if it could be a device's. Who it is, is the handshake's to prove. */
  #keyOf(socket: TLSSocket, identity: string): Buffer | null {
    if (identity.length > IDENTITY_LENGTH_MAX) return null;
    const dot = identity.indexOf('.');
    const groupKey = this.#secrets.keys?.get(identity.slice(0, dot));
    const device = identity.slice(dot + 1);
    if (groupKey === undefined || !DEVICE_ID.test(device)) return null;
    this.#identities.set(socket, identity);
    return devicePskKey(groupKey, device);
  }
}
