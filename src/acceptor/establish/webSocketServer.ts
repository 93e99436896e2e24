/**
 * WebSocketServer: WebSockets of one listener, for MQTT: a request that asks for one is answered,
 * every other one refused.
 * From: establish.ts, sockets, plain or with TLS.  To: the same: each as a WebSocketLink, or with
 * the reason why it is none.
 * Bound: establish.ts bounds how many there are and their time; HEADER_BYTES_MAX for a request. No
 * compression: its memory would be many times that of a link.
 *
 * It is a `http.Server` that never listens: sockets are handed to it one by one.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { WebSocketServer as Upgrader } from 'ws';
import { later } from '../../base/later.ts';
import { WebSocketLink, type WebSocketLinkLimits } from './webSocketLink.ts';

export interface WebSocketEvents {
  onWebSocket(socket: Socket, link: WebSocketLink): void;
  onNoWebSocket(socket: Socket, why: string): void;
}

export interface WebSocketLimits {
  readonly frameBytesMax: number;
  readonly outboxSoftBytes: number;
  readonly linkMessagesPerSecond: number;
}

/** What only a listener of WebSockets needs: it would be a third of an acceptor's start. */
const http = later<typeof import('node:http')>('node:http');
const ws = later<typeof import('ws')>('ws');
const HEADER_BYTES_MAX = 8 * 1024;
/** A message in more pieces is not a device's. Its types do not know of these options yet. */
const PIECES = { maxFragments: 1_024, maxBufferedChunks: 16_384 };
/** Libraries send a message of MQTT by some writes, each of which is a frame here. */
const FRAMES_PER_MESSAGE = 8;
/** What both versions of MQTT call it (section 6). */
const SUBPROTOCOL = 'mqtt';

export class WebSocketServer {
  readonly #server: Server;
  readonly #upgrader: Upgrader;
  readonly #events: WebSocketEvents;
  readonly #ofLinks: WebSocketLinkLimits;

  constructor(limits: WebSocketLimits, events: WebSocketEvents) {
    this.#events = events;
    this.#ofLinks = {
      highWaterMark: limits.outboxSoftBytes,
      framesPerSecond: limits.linkMessagesPerSecond * FRAMES_PER_MESSAGE,
    };
    // establish.ts has the deadline.
    const timeouts = { headersTimeout: 0, requestTimeout: 0, keepAliveTimeout: 0 };
    this.#server = http().createServer({ maxHeaderSize: HEADER_BYTES_MAX, ...timeouts });
    this.#upgrader = new (ws().WebSocketServer)({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      autoPong: false,
      maxPayload: limits.frameBytesMax,
      ...PIECES,
      handleProtocols: () => SUBPROTOCOL,
    });
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#server.on('request', ({ socket }) => this.#refuse(socket, '426 Upgrade Required'));
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      this.#refuse(socket, '400 Bad Request', error.code);
    });
    this.#upgrader.on('wsClientError', ({ message }, socket) => {
      this.#refuse(socket, '400 Bad Request', message);
    });
  }

  /** It owns the socket from now on. */
  accept(socket: Socket): void {
    this.#server.emit('connection', socket);
    // The listener hands sockets over unread.
    socket.resume();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { 'sec-websocket-protocol': wanted = '' } = request.headers;
    if (!wanted.split(',').some((one) => one.trim() === SUBPROTOCOL)) {
      this.#refuse(socket, '400 Bad Request', 'it does not ask for mqtt');
      return;
    }
    this.#upgrader.handleUpgrade(request, socket, head, (webSocket) => {
      const raw = socket as Socket;
      this.#events.onWebSocket(raw, new WebSocketLink(webSocket, raw, this.#ofLinks));
    });
  }

  #refuse(socket: Duplex, status: string, why = status): void {
    if (socket.writable) socket.write(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`);
    this.#events.onNoWebSocket(socket as Socket, why);
  }
}
