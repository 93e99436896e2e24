/**
 * Device: one device of the fleet, and every message it sends and gets in the ledger.
 * From: fleet.ts (connect, send).  To: the node under test; a ledger file; obey.ts, COMMANDs.
 * Comes back as the protocol asks: after `retryAfter`, else 1 s doubling to 120 s, full jitter.
 * Bound: none; the node's back-pressure and the fleet's rate keep what waits small.
 *
 *   down -> greeting -> open -> down -> ...
 */
import { connect, type Socket } from 'node:net';
import { stringify } from 'uuid';
import { STATUS } from '../../src/base/errors.ts';
import { type Message, TYPE, type Will } from '../../src/wire/message.ts';
import { encode, V1Reader } from '../../src/wire/v1.ts';
import { deviceName, type LedgerFile, nameOf } from './ledger.ts';
import { Obey } from './obey.ts';

const FRAME_BYTES_MAX = 64 * 1024;
const BACKOFF_MIN_MS = 1_000;
const BACKOFF_MAX_MS = 120_000;
/** Links of visitors last so long; and this is how long they are away, at most. */
const VISIT_MIN_MS = 500;
const VISIT_MAX_MS = 8_000;
const AWAY_MAX_MS = 3_000;
/** By a visitor's number: half of the time they are back within the longer one. */
const WILL_DELAYS_MS = [0, 1_500];
const PONG = encode({ type: TYPE.PONG });

export interface DeviceOptions {
  readonly port: number;
  readonly ledger: LedgerFile;
  /** 0 to 1. */
  readonly random: () => number;
  /** A REQUEST was answered with another status than 0. */
  readonly onRefused: () => void;
  /** It comes and goes by itself, and sends nothing. */
  readonly isVisitor: boolean;
  /** It ACKs and answers every command at once. */
  readonly isPrompt: boolean;
}

export class Device {
  readonly number: number;
  state: 'down' | 'greeting' | 'open' = 'down';
  readonly #options: DeviceOptions;
  #socket: Socket | undefined;
  #link = 0;
  #id = 0;
  #seq = 0;
  #failures = 0;
  #tries = 0;
  #reason = '';
  #retryAfterMs: number | undefined;
  #isOver = false;
  readonly #obey: Obey;
  /** When each message without an answer was sent, by id: the oldest first. */
  readonly #waiting = new Map<number, number>();

  constructor(number: number, options: DeviceOptions) {
    this.number = number;
    this.#options = options;
    this.#obey = new Obey({ number, ...options });
  }

  get isVisitor(): boolean {
    return this.#options.isVisitor;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** When the oldest message without an answer was sent; Infinity when all are answered. */
  get waitingSince(): number {
    return this.#waiting.values().next().value ?? Number.POSITIVE_INFINITY;
  }

  connect(): void {
    this.state = 'greeting';
    this.#tries += 1;
    this.#reason = '';
    this.#retryAfterMs = undefined;
    const socket = connect({ host: '127.0.0.1', port: this.#options.port, noDelay: true });
    this.#socket = socket;
    const reader = new V1Reader(FRAME_BYTES_MAX);
    socket.on('connect', () => this.#hello(socket));
    socket.on('data', (chunk: Buffer) => this.#read(reader, chunk, socket));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#reason ||= error.code ?? error.message;
    });
    socket.on('close', () => this.#onClose());
  }

  #hello(socket: Socket): void {
    const hello: Message = {
      type: TYPE.HELLO,
      version: 1,
      deviceId: deviceName(this.number),
      token: undefined,
      keepalive: undefined,
      frameBytesMax: undefined,
      ...(this.isVisitor && { will: this.#will() }),
    };
    socket.write(encode(hello));
  }

  get #willDelayMs(): number {
    return WILL_DELAYS_MS[this.number % WILL_DELAYS_MS.length] ?? 0;
  }

  /** It names the try: a link may be on record, and its device never read WELCOME. */
  #will(): Will {
    const payload = Buffer.from(nameOf(this.number, this.#tries, 0));
    return { topic: 'chaos.will', payload, delayMs: this.#willDelayMs };
  }

  /** Send one message whose payload names it. Only while open. */
  send(what: 'event' | 'request', now: number): void {
    this.#id += 1;
    this.#seq += 1;
    const { number, ledger } = { number: this.number, ledger: this.#options.ledger };
    const [link, id] = [this.#link, this.#id];
    ledger.note({ what, device: number, link, id, at: now });
    this.#waiting.set(id, now);
    const frame = encode({
      type: what === 'event' ? TYPE.EVENT : TYPE.REQUEST,
      id,
      topic: `chaos.${what}`,
      payload: Buffer.from(nameOf(number, link, id)),
      meta: { seq: this.#seq },
    });
    this.#socket?.write(frame);
  }

  /** Say BYE and stay away. */
  end(): void {
    this.#isOver = true;
    this.#reason = 'ours';
    this.#socket?.end(encode({ type: TYPE.BYE, reason: '', retryAfter: undefined }));
  }

  #read(reader: V1Reader, chunk: Buffer, socket: Socket): void {
    reader.push(chunk);
    for (let next = reader.next(); next; next = reader.next()) this.#onMessage(next, socket);
  }

  #onMessage(message: Message, socket: Socket): void {
    const { ledger } = this.#options;
    const at = Date.now();
    const [device, link] = [this.number, this.#link];
    switch (message.type) {
      case TYPE.WELCOME: {
        this.#link += 1;
        this.#id = 0;
        this.#failures = 0;
        this.state = 'open';
        if (this.#options.isVisitor) this.#stay(socket);
        const connection = stringify(message.connectionId);
        const will = this.isVisitor && {
          will: { of: nameOf(device, this.#tries, 0), delayMs: this.#willDelayMs },
        };
        ledger.note({ what: 'open', device, link: this.#link, at, connection, ...will });
        return;
      }
      case TYPE.ACK:
        this.#waiting.delete(message.id);
        ledger.note({ what: 'ack', device, link, id: message.id, at });
        return;
      case TYPE.REPLY: {
        const { id, status, payload } = message;
        this.#waiting.delete(id);
        ledger.note({ what: 'reply', device, link, id, at, status, of: payload.toString() });
        if (status !== STATUS.ok) this.#options.onRefused();
        return;
      }
      case TYPE.COMMAND: {
        // Its link is lost: whoever reads on would answer for a socket that nobody hears.
        if (socket.destroyed) return;
        const answer = (reply: Message) => void (socket.writable && socket.write(encode(reply)));
        this.#obey.take(message, answer, () => socket.destroy());
        return;
      }
      case TYPE.PING:
        socket.write(PONG);
        return;
      case TYPE.BYE:
        this.#reason ||= message.reason;
        this.#retryAfterMs = message.retryAfter;
        return;
    }
  }

  /** A visitor goes after a while, without a word. */
  #stay(socket: Socket): void {
    const ms = VISIT_MIN_MS + this.#options.random() * (VISIT_MAX_MS - VISIT_MIN_MS);
    setTimeout(() => socket.destroy(), ms);
  }

  #onClose(): void {
    if (this.state === 'open') {
      const reason = this.#reason || 'fin';
      const at = Date.now();
      this.#options.ledger.note({ what: 'end', device: this.number, link: this.#link, at, reason });
    }
    this.state = 'down';
    this.#socket = undefined;
    this.#waiting.clear();
    if (this.#isOver) return;
    const isGone = this.#options.isVisitor && this.#failures === 0 && this.#reason === '';
    const awayMs = isGone ? this.#options.random() * AWAY_MAX_MS : this.#backoffMs();
    setTimeout(() => this.#comeBack(), awayMs);
  }

  #backoffMs(): number {
    if (this.#retryAfterMs !== undefined) return this.#retryAfterMs;
    const most = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.#failures);
    this.#failures += 1;
    return this.#options.random() * most;
  }

  #comeBack(): void {
    if (!this.#isOver) this.connect();
  }
}
