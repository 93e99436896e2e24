/**
 * Device: one device of the fleet, and every message it sends and gets in the ledger.
 * From: fleet.ts (connect, send).  To: the node under test; a ledger file; obey.ts, COMMANDs.
 * Comes back as the protocol asks: after `retryAfter`, else 1 s doubling to 120 s, full jitter.
 * Bound: none; the node's back-pressure and the fleet's rate keep what waits small.
 *
 *   down -> greeting -> open -> down -> ...
 */
import { connect, type Socket } from 'node:net';
import { STATUS } from '../../src/base/errors.ts';
import { type Message, TYPE, type Will } from '../../src/wire/message.ts';
import { type Heard, makeSpeech, type Speech, type Tongue } from '../helpers/fakes/speech.ts';
import { deviceName, type LedgerFile, nameOf } from './ledger.ts';
import { Obey } from './obey.ts';

const BACKOFF_MIN_MS = 1_000;
const BACKOFF_MAX_MS = 120_000;
/** Links of visitors last so long; and this is how long they are away, at most. */
const VISIT_MIN_MS = 500;
const VISIT_MAX_MS = 8_000;
const AWAY_MAX_MS = 3_000;
/** Half of the time they are back within it. MQTT counts in seconds, and 3.1.1 not at all. */
const WILL_DELAY_MS: Readonly<Record<Tongue, number>> = {
  owsla: 1_500,
  'mqtt-3.1.1': 0,
  'mqtt-5': 2_000,
};
/** Longer than the turns of tongues, so that each has both. */
const WILL_EVERY = 8;
/** Where it is the device that keeps its link alive. */
const PING_MS = 15_000;

export interface DeviceOptions {
  /** Of the listener for its tongue. */
  readonly port: number;
  readonly tongue: Tongue;
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
  #triedAt = 0;
  /** When it ended its link itself; 0: it did not. */
  #leftAt = 0;
  #reason = '';
  #retryAfterMs: number | undefined;
  #isOver = false;
  readonly #obey: Obey;
  #speech: Speech;
  /** When each message without an answer was sent, by id: the oldest first. */
  readonly #waiting = new Map<number, number>();

  constructor(number: number, options: DeviceOptions) {
    this.number = number;
    this.#options = options;
    this.#speech = makeSpeech(options.tongue);
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
    this.#triedAt = Date.now();
    this.#leftAt = 0;
    this.#reason = '';
    this.#retryAfterMs = undefined;
    const socket = connect({ host: '127.0.0.1', port: this.#options.port, noDelay: true });
    this.#socket = socket;
    const speech = makeSpeech(this.#options.tongue);
    this.#speech = speech;
    socket.on('connect', () => {
      const will = this.isVisitor ? this.#will() : undefined;
      socket.write(speech.hello(deviceName(this.number), will));
    });
    socket.on('data', (chunk: Buffer) => {
      for (const heard of speech.hear(chunk)) this.#onHeard(heard, socket);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#reason ||= error.code ?? error.message;
    });
    socket.on('close', () => this.#onClose());
  }

  /** That of every second visitor waits, as far as its protocol lets it. */
  get #willDelayMs(): number {
    return this.number % WILL_EVERY < WILL_EVERY / 2 ? 0 : WILL_DELAY_MS[this.#options.tongue];
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
    const frame = this.#speech.say({
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
    this.#socket?.end(this.#speech.say({ type: TYPE.BYE, reason: '', retryAfter: undefined }));
  }

  #onHeard(message: Heard, socket: Socket): void {
    const { ledger } = this.#options;
    const at = Date.now();
    const [device, link] = [this.number, this.#link];
    switch (message.type) {
      case 'opened':
        this.#onOpen(message.connection, socket);
        return;
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
        const speech = this.#speech;
        const answer = (reply: Message) => {
          if (socket.writable) socket.write(speech.say(reply));
        };
        this.#obey.take(message, answer, () => this.#leave(socket));
        return;
      }
      case TYPE.PING:
        socket.write(this.#speech.say({ type: TYPE.PONG }));
        return;
      case TYPE.BYE:
        this.#reason ||= message.reason;
        this.#retryAfterMs = message.retryAfter;
        return;
    }
  }

  #onOpen(connection: string, socket: Socket): void {
    const { ledger, tongue } = this.#options;
    this.#link += 1;
    this.#id = 0;
    this.#failures = 0;
    this.state = 'open';
    if (this.isVisitor) this.#stay(socket);
    const { ping } = this.#speech;
    if (ping) this.#keepAlive(ping, socket);
    const [device, link, at] = [this.number, this.#link, Date.now()];
    const will = this.isVisitor && {
      will: {
        of: nameOf(device, this.#tries, 0),
        delayMs: this.#willDelayMs,
        triedAt: this.#triedAt,
      },
    };
    ledger.note({ what: 'open', device, link, at, connection, tongue, ...will });
  }

  #keepAlive(ping: Buffer, socket: Socket): void {
    const timer = setInterval(() => socket.writable && socket.write(ping), PING_MS);
    socket.on('close', () => clearInterval(timer));
  }

  /** A visitor goes after a while, without a word. */
  #stay(socket: Socket): void {
    const ms = VISIT_MIN_MS + this.#options.random() * (VISIT_MAX_MS - VISIT_MIN_MS);
    setTimeout(() => this.#leave(socket), ms);
  }

  #leave(socket: Socket): void {
    this.#leftAt = Date.now();
    socket.destroy();
  }

  #onClose(): void {
    if (this.state === 'open') {
      const reason = this.#reason || 'fin';
      const at = Date.now();
      const left = this.#leftAt === 0 ? {} : { leftAt: this.#leftAt };
      const of = { device: this.number, link: this.#link };
      this.#options.ledger.note({ what: 'end', ...of, at, reason, ...left });
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
