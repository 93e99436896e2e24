/**
 * TlsServer: TLS of one listener: certificates, client certificates, PSK, tickets.
 * From: establish.ts, sockets, each in its turn.  To: the same, each as a TLS socket when
 * its handshake is done, or with the reason why it failed.
 * Bound: establish.ts bounds the handshakes and their time. A client certificate that is not
 * verified does not end the handshake: identity.ts refuses it, so that log and counter say why.
 *
 * It is a `tls.Server` that never listens: sockets are handed to it one by one.
 */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Server, TLSSocket } from 'node:tls';
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

/** Not by an import, with which Node reads all CAs of the web at each start. */
const { createServer, DEFAULT_CIPHERS } = process.getBuiltinModule('node:tls');
/** Of what a ticket is bound to, OpenSSL takes so much. */
const CONTEXT_LENGTH = 32;
/** After a day a device shows again who it is, and how long a stolen ticket is good for. */
const TICKET_SECONDS = 86_400;
/** Of TLS 1.3 those that a PSK fits, which is one for SHA-256. */
const PSK_SUITES = ['TLS_AES_128_GCM_SHA256', 'TLS_CHACHA20_POLY1305_SHA256'];
/**
 * Those of Node, and PSK, which it leaves out. What fits a PSK comes first: else a device that can
 * do more would be asked for it, and could not show its key.
 */
const PSK_CIPHERS = [
  ...PSK_SUITES,
  ...DEFAULT_CIPHERS.split(':').filter((one) => one !== '!PSK' && !PSK_SUITES.includes(one)),
  'PSK',
].join(':');
/** `<keyId>.<device>`. */
const IDENTITY_LENGTH_MAX = 32 + 1 + 64;

/** What Node knows of a TLS socket and has not in its types: the socket that it was made of. */
interface Wrapped extends TLSSocket {
  readonly _parent: Socket;
}

export class TlsServer {
  readonly #name: string;
  readonly #config: TlsConfig;
  readonly #hasPsk: boolean;
  readonly #server: Server;
  /** PSK identities that were named, '' if unknown: a handshake may go on without them. */
  readonly #identities = new WeakMap<Socket, string>();
  #secrets: TlsSecrets;
  #files: TlsFiles;

  constructor(
    listener: ListenerConfig & { readonly tls: TlsConfig },
    files: TlsFiles,
    secrets: TlsSecrets,
    events: TlsEvents,
  ) {
    this.#name = listener.name;
    this.#config = listener.tls;
    this.#hasPsk = listener.auth.includes('psk');
    this.#secrets = secrets;
    this.#files = files;
    this.#server = createServer({
      ...this.#context(),
      requestCert: listener.tls.clientCert !== 'none',
      rejectUnauthorized: false,
      // No timer for each: establish.ts has the deadline. To Node 0 is two minutes.
      handshakeTimeout: -1,
      ...(this.#hasPsk ? { pskCallback: this.#pskCallback } : {}),
    });
    this.#server.on('secureConnection', (secured: TLSSocket) => {
      // From now on, a device's FIN must not close our side before its last frames are handled.
      secured.allowHalfOpen = true;
      const { _parent: socket } = secured as Wrapped;
      // What was negotiated is only asked for where a key was named: it costs an object.
      const named = this.identityOf(socket);
      events.onSecure(socket, secured, named && isByPsk(secured) ? named : undefined);
    });
    this.#server.on('tlsClientError', (error: NodeJS.ErrnoException, secured: TLSSocket) => {
      events.onFailure((secured as Wrapped)._parent, error.code ?? 'unknown');
    });
  }

  /** What the CA has revoked. */
  get revoked(): Crl | undefined {
    return this.#files.revoked;
  }

  /** Of the PSK that was named there, proved or not; '': there is no such key. */
  identityOf(socket: Socket): string | undefined {
    return this.#identities.get(socket);
  }

  /** Begin a handshake. It owns the socket from now on. */
  accept(socket: Socket): void {
    // A FIN within the handshake ends it; Node tells of none where a link may be half open.
    socket.allowHalfOpen = false;
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
      sessionIdContext: this.#sessionContext(),
    };
  }

  /**
   * What tickets are bound to, the same in all acceptors and over restarts. OpenSSL keeps in them
   * that a certificate was verified: that must not count where another CA is asked for, be it at
   * another listener or after the file has changed.
   */
  #sessionContext(): string {
    const { clientCa = '' } = this.#files;
    const hash = createHash('sha256').update(`${this.#name}\n${clientCa}`);
    return hash.digest('hex').slice(0, CONTEXT_LENGTH);
  }

  readonly #pskCallback = (secured: TLSSocket, identity: string) =>
    this.#keyOf((secured as Wrapped)._parent, identity);

  /** The key of `identity`, if it could be a device's. Who it is, is the handshake's to prove. */
  #keyOf(socket: Socket, identity: string): Buffer | null {
    this.#identities.set(socket, '');
    if (identity.length > IDENTITY_LENGTH_MAX) return null;
    const dot = identity.indexOf('.');
    if (dot < 1) return null;
    const groupKey = this.#secrets.keys?.get(identity.slice(0, dot));
    const device = identity.slice(dot + 1);
    if (groupKey === undefined || !DEVICE_ID.test(device)) return null;
    this.#identities.set(socket, identity);
    return devicePskKey(groupKey, device);
  }
}

/**
 * Was the handshake done with a PSK, if one was looked up? In TLS 1.3 OpenSSL looks it up before it
 * knows whether the key fits the cipher: if it does not, it goes on with the certificate, and the
 * device has shown nothing. Where it fits, a key that was looked up is the one that is used.
 */
function isByPsk(secured: TLSSocket): boolean {
  const { standardName } = secured.getCipher();
  if (secured.getProtocol() !== 'TLSv1.3') return standardName.includes('_PSK_');
  return secured.isSessionReused() && standardName.endsWith('_SHA256');
}
