/**
 * WebSocketLink: a WebSocket as what an endpoint takes for a socket: the bytes of its binary
 * messages, one after another, wherever they were cut.
 * From: webSocketServer.ts, a WebSocket that was opened.  To: Endpoint, as its socket.
 * Bound: `maxPayload` a message, one message while nobody reads; a PING of the WebSocket has its
 * PONG only while the device takes what is written: else it may have as many as it likes.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';

/** MQTT takes no text (3.1.1 and 5, section 6): it counts as a byte that MQTT does not take. */
const NO_BYTE = Buffer.from([0]);
const NORMAL = 1_000;

export class WebSocketLink extends Duplex {
  readonly #socket: Socket;
  readonly #webSocket: WebSocket;

  /** `socket`: what it was opened on. */
  constructor(webSocket: WebSocket, socket: Socket, highWaterMark: number) {
    super({ highWaterMark, allowHalfOpen: true });
    this.#socket = socket;
    this.#webSocket = webSocket;
    webSocket.on('message', (data, isBinary) => {
      if (!this.push(isBinary ? data : NO_BYTE)) webSocket.pause();
    });
    webSocket.on('ping', (data) => {
      if (socket.writableLength === 0) webSocket.pong(data);
    });
    webSocket.once('close', () => {
      this.push(null);
      if (this.writableFinished) this.destroy();
    });
    // 'close' always follows.
    webSocket.on('error', () => {});
  }

  override _read(): void {
    if (this.#webSocket.isPaused) this.#webSocket.resume();
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
