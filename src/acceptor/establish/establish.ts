/**
 * Establish: what comes before a device's first frame: its address, a PROXY header, TLS, and the
 * handshake of a WebSocket.
 * From: admission.ts, sockets that were admitted and not read.  To: endpoints.ts, with how each
 * came; a plain link passes at once.
 * Bound: `greetingsMax` links here and in greeting together (admission.ts); `proxyMs` and
 * `handshakeMs` for each; handshakes begin for HANDSHAKES_MS of a turn at most, so that open links
 * do not feel a storm of them. TLS gets the socket unread: what is read here, for a header, costs
 * each link some KiB that stay.
 *
 *   proxy --header--> queued --turn--> handshake --> upgrade --WebSocket--> (endpoint)
 *      \_______________\________________\____________\--> over, by reason
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../base/clock.ts';
import { Deadlines } from '../../base/deadlines.ts';
import type { EstablishFailure } from '../../base/errors.ts';
import { loosenHeap } from '../../base/heapGrowth.ts';
import type { Limits } from '../../base/limits.ts';
import type { ListenerConfig } from '../../base/listeners.ts';
import { bump, type Counters } from '../../base/metrics.ts';
import { isListed, type Networks, withPort } from '../../base/networks.ts';
import type { Origin, ProxiedTls } from '../endpoint/origin.ts';
import { peerOf } from '../endpoint/peer.ts';
import type { Addresses } from './addresses.ts';
import { type ProxyHeader, ProxyHeaderError, readProxyHeader } from './proxyHeader.ts';
import { StormHeap } from './stormHeap.ts';
import type { TlsEvents, TlsServer } from './tlsServer.ts';
import type { WebSocketLink } from './webSocketLink.ts';
import type { WebSocketEvents, WebSocketServer } from './webSocketServer.ts';

/** How the links of one listener come. */
export interface Way {
  readonly listener: ListenerConfig;
  readonly tls: TlsServer | undefined;
  /** What comes then is a WebSocket. */
  readonly web: WebSocketServer | undefined;
  /** Who may send a PROXY header; undefined: whoever reaches the listener. */
  readonly proxies: Networks | undefined;
}

export interface EstablishOptions {
  readonly limits: Pick<Limits, 'proxyMs' | 'handshakeMs'>;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly addresses: Addresses;
  readonly onReady: (socket: Socket, acceptedUs: number, origin: Origin) => void;
  readonly onFailure: OnFailure;
}

/** A link was over before its first frame. `why` is of fixed words. */
export type OnFailure = (
  peer: string,
  failure: EstablishFailure,
  why: string,
  listener: string,
) => void;

type Step = 'proxy' | 'queued' | 'handshake' | 'upgrade' | 'over';

/** A link on its way. */
interface Coming {
  readonly way: Way;
  readonly socket: Socket;
  readonly acceptedUs: number;
  step: Step;
  /** Of a PROXY header that is not whole. */
  bytes: Buffer;
  peer: string;
  address: string;
  proxied: ProxiedTls | undefined;
  /** What TLS has shown, while its WebSocket is waited for. */
  shown: Pick<Origin, 'secured' | 'pskIdentity'>;
}

/** Time of one turn of the event loop in which handshakes begin, in ms. */
const HANDSHAKES_MS = 4;
const NO_BYTES = Buffer.alloc(0);

export class Establish implements TlsEvents, WebSocketEvents {
  readonly #options: EstablishOptions;
  /** By its socket. */
  readonly #coming = new Map<Socket, Coming>();
  readonly #headers: Deadlines<Coming>;
  readonly #handshakes: Deadlines<Coming>;
  /** By the socket that a WebSocket is asked for on. */
  readonly #upgrading = new WeakMap<Socket, Coming>();
  /** Oldest first. */
  #queue: Coming[] = [];
  #turn: NodeJS.Immediate | undefined;
  readonly #storm = new StormHeap(loosenHeap);

  constructor(options: EstablishOptions) {
    const { limits } = options;
    this.#options = options;
    const onLate = (coming: Coming) => this.#fail(coming, 'timeout', `no end of ${coming.step}`);
    this.#headers = new Deadlines(limits.proxyMs, onLate);
    this.#handshakes = new Deadlines(limits.handshakeMs, onLate);
  }

  /** Own an admitted socket, until it is handed on or over. */
  begin(way: Way, plain: Origin, socket: Socket, acceptedUs: number): void {
    const { listener, tls, web } = way;
    const isProxied = listener.proxyProtocol === 'require';
    if (!isProxied && tls === undefined && web === undefined) {
      this.#beginPlain(plain, socket, acceptedUs);
      return;
    }
    const coming: Coming = {
      ...{ way, socket, acceptedUs, bytes: NO_BYTES, peer: '', proxied: undefined, shown: {} },
      step: isProxied ? 'proxy' : 'queued',
      address: socket.remoteAddress ?? '',
    };
    this.#coming.set(socket, coming);
    this.#count(1);
    socket.on('error', ignore);
    socket.on('close', this.#onClose);
    if (isProxied && way.proxies !== undefined && !isListed(way.proxies, coming.address)) {
      this.#fail(coming, 'proxy-source', 'not one of proxy-from');
    } else if (isProxied) {
      this.#headers.add(coming, this.#options.clock.now());
      this.#read(coming);
    } else if (this.#isAdmitted(coming)) this.#afterProxy(coming);
  }

  #beginPlain(origin: Origin, socket: Socket, acceptedUs: number): void {
    const { addresses, clock, onReady, onFailure, counters } = this.#options;
    const admits = addresses.admits(socket.remoteAddress ?? '', clock.now());
    if (admits === 'allowed') {
      onReady(socket, acceptedUs, origin);
      return;
    }
    counters.accepts += 1;
    bump(counters.establishFailures, FAILURE_OF[admits]);
    const { name } = origin.listener;
    onFailure(socket.remoteAddress ?? '', FAILURE_OF[admits], admits, name);
    socket.on('error', ignore);
    socket.resetAndDestroy();
  }

  /** The real address is known: may it connect? */
  #isAdmitted(coming: Coming): boolean {
    const { addresses, clock } = this.#options;
    const admits = addresses.admits(coming.address, clock.now());
    if (admits === 'allowed') return true;
    this.#fail(coming, FAILURE_OF[admits], admits);
    return false;
  }

  #read(coming: Coming): void {
    const { socket } = coming;
    socket.on('readable', this.#onReadable);
    // Its FIN: nothing more will come. While 'readable' is told, it is not known yet.
    socket.on('end', this.#onClose);
    socket.read(0);
  }

  readonly #onReadable = ofSocket((socket) => this.#took(socket));
  readonly #onClose = ofSocket((socket) => this.#gone(socket));

  #gone(socket: Socket): void {
    const coming = this.#coming.get(socket);
    if (coming !== undefined) this.#fail(coming, 'peer-gone', `in ${coming.step}`);
  }

  #took(socket: Socket): void {
    const coming = this.#coming.get(socket);
    if (coming === undefined) return;
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    if (coming.step === 'proxy') this.#onHeaderBytes(coming, chunk);
  }

  #onHeaderBytes(coming: Coming, chunk: Buffer): void {
    coming.bytes = coming.bytes.length === 0 ? chunk : Buffer.concat([coming.bytes, chunk]);
    let header: ProxyHeader | 'more';
    try {
      header = readProxyHeader(coming.bytes);
    } catch (error) {
      if (!(error instanceof ProxyHeaderError)) throw error;
      this.#fail(coming, 'proxy-header', error.reason);
      return;
    }
    if (header === 'more') return;
    const rest = coming.bytes.subarray(header.bytes);
    coming.bytes = NO_BYTES;
    this.#headers.delete(coming);
    this.#onHeader(coming, header, rest);
  }

  #onHeader(coming: Coming, { source, ssl }: ProxyHeader, rest: Buffer): void {
    if (source === undefined) {
      // A health check of the proxy, or one that does not say: no device.
      this.#end(coming);
      coming.socket.destroy();
      return;
    }
    coming.address = source.address;
    coming.peer = withPort(source.address, source.port);
    coming.proxied = ssl;
    if (!this.#isAdmitted(coming)) return;
    this.#rest(coming, rest);
    this.#afterProxy(coming);
  }

  #afterProxy(coming: Coming): void {
    if (coming.way.tls === undefined) this.#arrived(coming, coming.socket, {});
    else this.#await(coming);
  }

  /** What follows belongs to the next step: back into the socket, in memory of its own. */
  #rest({ socket }: Coming, rest: Buffer): void {
    socket.off('readable', this.#onReadable);
    socket.off('end', this.#onClose);
    if (rest.length > 0) socket.unshift(Buffer.from(rest));
  }

  #await(coming: Coming): void {
    coming.step = 'queued';
    this.#handshakes.add(coming, this.#options.clock.now());
    this.#queue.push(coming);
    this.#turn ??= setImmediate(() => this.#shake());
  }

  /** Begin handshakes for a while, the rest in later turns. */
  #shake(): void {
    const { clock } = this.#options;
    const endsAt = clock.now() + HANDSHAKES_MS;
    let begun = 0;
    this.#turn = undefined;
    for (const coming of this.#queue) {
      if (begun > 0 && clock.now() >= endsAt) break;
      begun += 1;
      if (coming.step !== 'queued') continue;
      coming.step = 'handshake';
      this.#storm.begin(clock.now());
      coming.way.tls?.accept(coming.socket);
    }
    this.#queue = this.#queue.slice(begun);
    if (this.#queue.length > 0) this.#turn = setImmediate(() => this.#shake());
  }

  // TlsEvents.

  onSecure(socket: Socket, secured: TLSSocket, pskIdentity: string | undefined): void {
    const coming = this.#coming.get(socket);
    if (coming === undefined) {
      secured.destroy();
      return;
    }
    // To OpenSSL a PSK is as good as a ticket.
    const kind = pskIdentity !== undefined ? 'psk' : secured.isSessionReused() ? 'resumed' : 'full';
    bump(this.#options.counters.handshakes, kind);
    // Others of its address may have become links meanwhile.
    if (!this.#isAdmitted(coming)) return;
    const shown = pskIdentity === undefined ? { secured } : { secured, pskIdentity };
    this.#arrived(coming, secured, shown);
  }

  onFailure(socket: Socket, code: string): void {
    const coming = this.#coming.get(socket);
    if (coming === undefined) return;
    const isGone = code === 'ECONNRESET' || code === 'EPIPE';
    this.#fail(coming, isGone ? 'peer-gone' : 'tls-handshake', isGone ? 'in handshake' : code);
  }

  /** Its bytes are a device's, or ask for a WebSocket. */
  #arrived(coming: Coming, socket: Socket, shown: Coming['shown']): void {
    const { web } = coming.way;
    if (web === undefined) {
      this.#ready(coming, socket, shown);
      return;
    }
    coming.step = 'upgrade';
    coming.shown = shown;
    this.#upgrading.set(socket, coming);
    this.#handshakes.add(coming, this.#options.clock.now());
    web.accept(socket);
  }

  // WebSocketEvents.

  onWebSocket(socket: Socket, link: WebSocketLink): void {
    const coming = this.#upgrading.get(socket);
    if (coming === undefined || coming.step !== 'upgrade') {
      link.destroy();
      return;
    }
    const peer = coming.peer || peerOf(coming.socket);
    // It has all of a socket's that an endpoint asks for.
    const as = link as unknown as Socket;
    this.#ready(coming, as, { ...coming.shown, peer, isWebSocket: true });
  }

  onNoWebSocket(socket: Socket, why: string): void {
    const coming = this.#upgrading.get(socket);
    if (coming?.step === 'upgrade') this.#fail(coming, 'ws-handshake', why);
    else socket.destroy();
  }

  // The end of the way.

  #ready(coming: Coming, socket: Socket, more: Partial<Origin>): void {
    const { way, acceptedUs, peer, proxied } = coming;
    this.#end(coming);
    const origin = { listener: way.listener, peer, ...more, ...(proxied ? { proxied } : {}) };
    this.#options.onReady(socket, acceptedUs, origin);
  }

  #fail(coming: Coming, failure: EstablishFailure, why: string): void {
    const { counters, onFailure } = this.#options;
    const { socket, peer, address } = coming;
    if (coming.step === 'handshake') this.#countGuess(coming, failure);
    this.#end(coming);
    counters.accepts += 1;
    bump(counters.establishFailures, failure);
    onFailure(peer || address, failure, why, coming.way.listener.name);
    socket.on('error', ignore);
    // What TLS has to say of it is written already; a reset would take it back.
    if (failure === 'ws-handshake') (coming.shown.secured ?? socket).destroySoon();
    else if (failure === 'tls-handshake') socket.destroySoon();
    else socket.destroy();
  }

  /** A PSK that is not the device's, or not known, is a guess as a token that is wrong is one. */
  #countGuess({ way, socket, address }: Coming, failure: EstablishFailure): void {
    const { addresses, clock } = this.#options;
    const identity = way.tls?.identityOf(socket);
    const isWrong = identity !== undefined && failure === 'tls-handshake';
    if (identity === '' || isWrong) addresses.failed(address, clock.now());
  }

  /** It is no longer counted here. */
  #end(coming: Coming): void {
    const { socket } = coming;
    coming.step = 'over';
    this.#coming.delete(socket);
    this.#headers.delete(coming);
    this.#handshakes.delete(coming);
    socket.off('readable', this.#onReadable);
    socket.off('end', this.#onClose);
    socket.off('close', this.#onClose);
    // The raw socket below TLS keeps its own: nobody else listens there.
    if (coming.way.tls === undefined) socket.off('error', ignore);
    this.#count(-1);
  }

  #count(change: 1 | -1): void {
    const { counters } = this.#options;
    counters.establishing += change;
    counters.sockets += change;
  }

  /** End what is overdue. */
  tick(now: number): void {
    this.#headers.sweep(now);
    this.#handshakes.sweep(now);
    this.#storm.tick(now);
  }

  /** The acceptor stops: nobody comes any more. */
  close(): void {
    for (const coming of this.#coming.values()) this.#fail(coming, 'timeout', 'draining');
  }
}

const FAILURE_OF = {
  denied: 'address-denied',
  'too-many-links': 'address-links',
  'too-many-failures': 'address-failures',
} as const satisfies Record<string, EstablishFailure>;

/** One listener for all sockets: each calls it as its own. */
function ofSocket(then: (socket: Socket) => void): (this: Socket) => void {
  return function (this: Socket) {
    then(this);
  };
}

/** A broken connection; 'close' always follows and is where it is handled. */
function ignore(): void {}
