/**
 * WebSocketLink: a WebSocket as what an endpoint takes for a socket: the bytes of its binary
 * messages, one after another, wherever they were cut.
 * From: webSocketServer.ts, a WebSocket that was opened.  To: Endpoint, as its socket.
 * Bound: `maxPayload` a message, one message while nobody reads; `framesPerSecond`, for some are no
 * byte of MQTT, and so have no price in allowance.ts; a PING of the WebSocket has its PONG only
 * while the device takes what is written.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';

/** MQTT takes no text (3.1.1 and 5, section 6): it counts as a byte that MQTT does not take. */
const NO_BYTE = Buffer.from([0]);
const NORMAL = 1_000;
const SECOND_MS = 1_000;

export interface WebSocketLinkLimits {
  /** Bytes that wait to be written. */
  readonly highWaterMark: number;
  readonly framesPerSecond: number;
}

export class WebSocketLink extends Duplex {
  readonly #socket: Socket;
  readonly #webSocket: WebSocket;
  readonly #framesPerSecond: number;
  /** Of this second, which begins with the first of them. */
  #frames = 0;
  #second: NodeJS.Timeout | undefined;
  /** Its endpoint takes more. */
  #isWanted = true;

  /** `socket`: what it was opened on. */
  constructor(webSocket: WebSocket, socket: Socket, limits: WebSocketLinkLimits) {
    super({ highWaterMark: limits.highWaterMark, allowHalfOpen: true });
    this.#socket = socket;
    this.#webSocket = webSocket;
    this.#framesPerSecond = limits.framesPerSecond;
    webSocket.on('message', (data, isBinary) => {
      this.#count();
      this.#isWanted = this.push(isBinary ? data : NO_BYTE);
      if (!this.#isWanted) webSocket.pause();
    });
    webSocket.on('ping', (data) => {
      this.#count();
      if (socket.writableLength === 0) webSocket.pong(data);
    });
    webSocket.on('pong', () => this.#count());
    webSocket.once('close', () => {
      this.push(null);
      if (this.writableFinished) this.destroy();
    });
    // 'close' always follows.
    webSocket.on('error', () => {});
  }

  /** Beyond its rate it is not read until the second is over. */
  #count(): void {
    this.#second ??= setTimeout(() => {
      this.#second = undefined;
      this.#frames = 0;
      this.#goOn();
    }, SECOND_MS).unref();
    this.#frames += 1;
    if (this.#frames > this.#framesPerSecond) this.#webSocket.pause();
  }

  #goOn(): void {
    const mayRead = this.#isWanted && this.#frames <= this.#framesPerSecond;
    if (mayRead && this.#webSocket.isPaused) this.#webSocket.resume();
  }

  override _read(): void {
    this.#isWanted = true;
    this.#goOn();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    // An empty one asks when those before it are gone: they are.
    if (chunk.length === 0) done();
    else this.#webSocket.send(chunk, { binary: true }, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#webSocket.close(NORMAL);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#second);
    this.#webSocket.terminate();
    done(error);
  }

  // What else an endpoint asks of a socket.

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#socket.remotePort;
  }

  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  get bytesWritten(): number {
    return this.#socket.bytesWritten;
  }

  /** For who asks what the kernel has taken. */
  get _handle(): unknown {
    return (this.#socket as Socket & { readonly _handle?: unknown })._handle;
  }

  resetAndDestroy(): this {
    return this.destroy();
  }
}
