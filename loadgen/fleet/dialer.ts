/**
 * Dialer: opens a device's link as the plan wants it: TCP or a Unix socket, PROXY header, TLS.
 * From: device.ts; the files that the plan names.  To: a socket, and what happens on it.
 * Bound: nothing is kept per device but its last ticket, and that only where tickets are offered.
 * One context serves all devices; those with certificates of their own have one each while they
 * connect.
 *
 * A plain link reads into one buffer that all of them share; a TLS link brings memory of its own.
 */
import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import type { Plan, TlsPlan } from '../plan/plan.ts';
import { Random } from '../plan/random.ts';
import type { Tokens } from '../plan/tokens.ts';
import { UsageError } from '../plan/units.ts';
import { fileOf, isFolderAt } from '../plan/wayPlan.ts';
import { proxyHeader } from './proxyHeader.ts';

/** Who dials. */
export interface Dialing {
  readonly index: number;
  readonly id: string;
  readonly link: number;
  /** Of its last link: what resumes it. */
  ticket: Buffer | undefined;
}

export interface DialEvents {
  /** The connection is there, and TLS begins. */
  onWire(): void;
  /** Frames may be written. `kind`: of the handshake, if there was one. */
  onReady(kind: Handshake | undefined): void;
  /** The bytes are the callee's for this call only; false: read no more. */
  onBytes(bytes: Buffer): boolean;
  /** It offers its ticket. */
  onOffer(): void;
}

export type Handshake = 'full' | 'resumed' | 'psk';

/** `wire` is what is below TLS; the same where there is none. */
export interface Dialed {
  readonly socket: net.Socket;
  readonly wire: net.Socket;
}

const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);
/** For TLS 1.3 and for 1.2. PSK is bound to SHA-256. */
const PSK_CIPHERS = 'TLS_AES_128_GCM_SHA256:PSK';
const SALT = 0x7155;

export class Dialer {
  readonly #plan: Plan;
  readonly #tokens: Tokens | undefined;
  readonly #random: Random;
  /** Undefined: no TLS, or each device has its own. */
  readonly #shared: tls.SecureContext | undefined;

  /** Reads the files; throws a UsageError of one sentence. */
  constructor(plan: Plan, tokens: Tokens | undefined, worker: number) {
    this.#plan = plan;
    this.#tokens = tokens;
    this.#random = new Random(plan.seed ^ SALT, worker);
    const { tls: wanted } = plan;
    if (wanted === undefined) return;
    const isOneForAll = wanted.certPath === undefined || !isFolderAt(wanted.certPath);
    this.#shared = isOneForAll ? contextOf(wanted, '') : undefined;
  }

  dial(device: Dialing, localAddress: string | undefined, events: DialEvents): Dialed {
    const { tls: wanted, proxy } = this.#plan;
    const isTls = wanted !== undefined;
    const wire = this.#connect(localAddress, isTls ? undefined : events);
    // Written before TLS has the socket, so it leaves first.
    if (proxy !== undefined) wire.write(proxyHeader(proxy, device.index, device.link));
    if (wanted === undefined) {
      wire.once('connect', () => events.onReady(undefined));
      return { socket: wire, wire };
    }
    return { socket: this.#secure(wanted, wire, device, events), wire };
  }

  #connect(localAddress: string | undefined, reader: DialEvents | undefined): net.Socket {
    const { unix, host, port } = this.#plan;
    const callback = (length: number) => reader?.onBytes(READ_BUFFER.subarray(0, length)) ?? true;
    return net.connect({
      ...(unix === undefined ? { host, port } : { path: unix }),
      noDelay: true,
      ...(localAddress === undefined ? {} : { localAddress }),
      ...(reader === undefined ? {} : { onread: { buffer: READ_BUFFER, callback } }),
    });
  }

  #secure(wanted: TlsPlan, wire: net.Socket, device: Dialing, events: DialEvents): net.Socket {
    const ticket = this.#ticketOf(wanted, device);
    if (ticket !== undefined) events.onOffer();
    const { host, unix } = this.#plan;
    const socket = tls.connect({
      socket: wire,
      host: wanted.servername || (unix === undefined ? host : 'localhost'),
      ...(wanted.servername === '' ? {} : { servername: wanted.servername }),
      secureContext: this.#shared ?? contextOf(wanted, device.id),
      ...(ticket === undefined ? {} : { session: ticket }),
      ...(wanted.isPsk ? this.#psk(device.id) : {}),
    });
    wire.once('connect', () => events.onWire());
    wire.on('error', (error) => socket.destroy(error));
    socket.once('secureConnect', () => {
      const kind = socket.isSessionReused() ? 'resumed' : 'full';
      events.onReady(wanted.isPsk ? 'psk' : kind);
    });
    if (wanted.resumeShare > 0) {
      socket.on('session', (session: Buffer) => {
        device.ticket = session;
      });
    }
    socket.on('data', (bytes: Buffer) => {
      if (!events.onBytes(bytes)) socket.pause();
    });
    return socket;
  }

  #ticketOf({ resumeShare }: TlsPlan, { ticket }: Dialing): Buffer | undefined {
    if (ticket === undefined) return undefined;
    return this.#random.next() < resumeShare ? ticket : undefined;
  }

  #psk(id: string) {
    return {
      pskCallback: () => this.#tokens?.psk(id) ?? null,
      // Only a server that knows the device's key gets this far; one with a certificate does not.
      checkServerIdentity: (_: string, cert: tls.PeerCertificate) =>
        Object.keys(cert).length === 0
          ? undefined
          : new Error('the server has shown a certificate in place of the shared key'),
    };
  }
}

/** Ends a link at once, as a device that loses power does; a Unix socket knows no reset. */
export function reset(wire: net.Socket | undefined, isUnix: boolean): void {
  if (isUnix) wire?.destroy();
  else wire?.resetAndDestroy();
}

function contextOf(wanted: TlsPlan, id: string): tls.SecureContext {
  const { caFile, certPath, keyPath, version, isPsk } = wanted;
  const cert = certPath === undefined ? undefined : fileOf(certPath, id, 'pem');
  const key = keyPath === undefined ? undefined : fileOf(keyPath, id, 'key');
  try {
    return tls.createSecureContext({
      ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }),
      ...(cert === undefined ? {} : { cert: readFileSync(cert) }),
      ...(key === undefined ? {} : { key: readFileSync(key) }),
      ...(isPsk ? { ciphers: PSK_CIPHERS } : {}),
      ...(version === undefined
        ? {}
        : { minVersion: `TLSv${version}` as const, maxVersion: `TLSv${version}` as const }),
    });
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    const what = path ?? [caFile, cert, key].filter(Boolean).join(', ');
    throw new UsageError(`--tls: ${what}: ${code ?? 'OpenSSL does not take it'}`);
  }
}
