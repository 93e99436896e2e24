/**
 * Scripted server: speaks the device protocol, echoes, and misbehaves exactly as it is told.
 * From: tests and benches, which give it a Script.  To: the load tool's devices.
 * Bound: no limits, no AMQP: it is a stand-in whose behaviour a test can calculate with.
 */
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { FrameReader } from '../../src/wire/frame.ts';
import {
  type Ack,
  type Event,
  type Hello,
  type Message,
  type Request,
  type Result,
  TYPE,
} from '../../src/wire/message.ts';
import { decode, encode } from '../../src/wire/v1.ts';

/** One link as the script sees it. */
export interface Link {
  readonly socket: net.Socket;
  deviceId: string;
  send(message: Message): void;
}

/** What to do instead of the right thing; a handler that returns true has done it all. */
export interface Script {
  onHello?(link: Link, hello: Hello): boolean;
  onRequest?(link: Link, request: Request): boolean;
  onEvent?(link: Link, event: Event): boolean;
  onAck?(link: Link, ack: Ack): void;
  onResult?(link: Link, result: Result): void;
  onEnd?(link: Link): void;
  onBytes?(link: Link, bytes: Buffer): void;
  keepaliveS?: number;
}

export class ScriptedServer {
  readonly links = new Set<Link>();
  readonly counts = { hellos: 0, requests: 0, events: 0, pings: 0, byes: 0, badFrames: 0 };
  readonly #waiting = new Set<{ requests: number; resolve: () => void }>();
  readonly #server: net.Server;
  readonly #script: Script;

  constructor(script: Script = {}) {
    this.#script = script;
    this.#server = net.createServer({ noDelay: true }, (socket) => this.take(socket));
  }

  /** Listen on `port`, 0 for any free one; the port that it is. */
  async listen(port = 0, reusePort = false): Promise<number> {
    await new Promise<void>((resolve) => {
      this.#server.listen({ port, host: '127.0.0.1', backlog: 4_096, reusePort }, resolve);
    });
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Resolves when so many requests have come. */
  async taken(requests: number): Promise<void> {
    if (this.counts.requests >= requests) return;
    await new Promise<void>((resolve) => this.#waiting.add({ requests, resolve }));
  }

  /** Cut every link and close the listener. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const { socket } of this.links) socket.destroy();
    await closed;
  }

  /** A link that came in some other way than by `listen`. */
  take(socket: net.Socket): void {
    const link: Link = {
      socket,
      deviceId: '',
      send: (message) => void socket.write(encode(message)),
    };
    this.links.add(link);
    const frames = new FrameReader(16 * 1024 * 1024);
    socket.on('data', (bytes: Buffer) => {
      this.#script.onBytes?.(link, bytes);
      frames.push(bytes);
      try {
        for (let payload = frames.next(); payload !== undefined; payload = frames.next()) {
          this.#onMessage(link, decode(payload));
        }
      } catch {
        this.counts.badFrames += 1;
        link.send({ type: TYPE.ERROR, code: 'bad-frame', message: 'no', id: undefined });
        link.send({ type: TYPE.BYE, reason: 'bad-frame', retryAfter: undefined });
        socket.end();
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.links.delete(link);
      this.#script.onEnd?.(link);
    });
  }

  #onMessage(link: Link, message: Message): void {
    const { counts } = this;
    if (message.type === TYPE.HELLO) {
      counts.hellos += 1;
      link.deviceId = message.deviceId;
      if (this.#script.onHello?.(link, message) !== true) this.welcome(link);
    } else if (message.type === TYPE.REQUEST) {
      counts.requests += 1;
      for (const wait of this.#waiting) {
        if (wait.requests > counts.requests) continue;
        this.#waiting.delete(wait);
        wait.resolve();
      }
      if (this.#script.onRequest?.(link, message) !== true) this.echo(link, message);
    } else if (message.type === TYPE.EVENT) {
      counts.events += 1;
      if (this.#script.onEvent?.(link, message) === true || message.id === 0) return;
      link.send({ type: TYPE.ACK, id: message.id });
    } else if (message.type === TYPE.PING) {
      counts.pings += 1;
      link.send({ type: TYPE.PONG });
    } else if (message.type === TYPE.ACK) {
      this.#script.onAck?.(link, message);
    } else if (message.type === TYPE.RESULT) {
      this.#script.onResult?.(link, message);
    } else if (message.type === TYPE.BYE) {
      counts.byes += 1;
    }
  }

  welcome(link: Link): void {
    link.send({
      type: TYPE.WELCOME,
      connectionId: randomBytes(16),
      keepalive: this.#script.keepaliveS ?? 60,
      frameBytesMax: 65_536,
      time: Date.now(),
    });
  }

  echo(link: Link, { id, payload }: Request): void {
    link.send({ type: TYPE.REPLY, id, status: 0, payload });
  }
}
