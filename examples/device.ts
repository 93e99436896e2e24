/**
 * device.ts - a device for Owsla in TypeScript: `node:net` and msgpackr, none of Owsla's own code.
 *
 *   node examples/device.ts 127.0.0.1 7000 door-17 --event hvac.temp 21.5 --request door.open now
 *
 * Does what device.c does: sends each message until it is answered, over as many links as that
 * takes, and prints what comes back; without messages it just stays connected. One that Owsla
 * refuses is dropped, and no other. The COMMAND `door.open` opens its door, once however often it
 * comes; `--will` leaves a word. docs/protocol.md. What it reads: decode.ts. What it still has to
 * send: work.ts. With what it proves who it is: token.ts.
 * Bound: WINDOW_MAX messages wait for their answers; an incomplete frame and KEYS answers are kept.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Packr } from 'msgpackr';
import {
  ACK,
  BYE,
  COMMAND,
  decode,
  ERROR,
  EVENT,
  HELLO,
  type Known,
  PING,
  PONG,
  REPLY,
  REQUEST,
  RESULT,
  WELCOME,
} from './decode.ts';
import { type Identity, identityOf, TOKEN_OPTIONS } from './token.ts';
import { type Item, Work } from './work.ts';

const HEADER = 4;
const FRAME_MAX = 4_096;
const KEEPALIVE_WISH = 60;
/** What rules where WELCOME does not say. */
const KEEPALIVE = 60;
const FRAME_MAX_UP = 65_536;
const ID_MAX = 0xffff_ffff;
const [STATUS_OK, STATUS_REFUSED, STATUS_FAILED] = [0, 3, 5];
const [KEYS, KEY_BYTES] = [16, 16];
const WINDOW_MAX = 16;
const GREETING_MS = 30_000;
const LINGER_MS = 1_000;
const LOOK_MS = 250;
const HELD_MS = 60_000;
const WAIT_MIN_MS = 1_000;
const WAIT_MAX_MS = 120_000;
const TOLD_MAX_MS = 3_600_000;

/** They do not go away by trying. */
const HOPELESS = ['version', 'auth-failed', 'bad-device-id', 'blocked'];
/** Nor do these as an answer to HELLO: they are about its will. */
const HELLO_HOPELESS = ['bad-topic', 'frame-too-long'];
/** Codes of ERROR that end a link, and those that end nothing. */
const ENDS = ['bad-frame', 'unexpected', 'bad-id', ...HELLO_HOPELESS, ...HOPELESS];
const HARMLESS = ['not-supported', 'not-allowed'];

const packr = new Packr({ useRecords: false });

/** The fields of a COMMAND behind its type. */
type Command = [id: number, topic: string, payload?: Uint8Array, meta?: Known];

interface Answer {
  status: number;
  payload: Buffer;
  /** Under which it was given last, on this link; else 0. */
  id: number;
}

/**
 * The last answers, by key; the first acted upon is forgotten first. They outlive links. Firmware
 * keeps them in flash as well, and writes the key before it acts: if power fails in between, the
 * door stayed shut. It acts at once, so none waits here, but it may have waited to be read.
 */
class Answers {
  readonly #answers = new Map<string, Answer>();

  find(key: string): Answer | undefined {
    return this.#answers.get(key);
  }

  keep(key: string, answer: Answer): void {
    this.#answers.set(key, answer);
    const [oldest = ''] = this.#answers.keys();
    if (this.#answers.size > KEYS) this.#answers.delete(oldest);
  }

  forgetIds(): void {
    for (const answer of this.#answers.values()) answer.id = 0;
  }

  /** Owsla could not read our answer to this COMMAND: the next time it gets one that it can. */
  spoil(id: number): void {
    for (const answer of this.#answers.values()) {
      if (id > 0 && answer.id === id) {
        answer.status = STATUS_FAILED;
        answer.payload = Buffer.alloc(0);
      }
    }
  }
}

/** Of the time between two looks at the clock: how long this process did nothing; else 0. */
function stopped(ms: number): number {
  return ms > 2 * LOOK_MS ? ms : 0;
}

/** One link, from connect to its end. */
class Link {
  openedAt = 0;
  reason = '';
  retryAfter: number | undefined;
  /** Our HELLO is refused; `isBadWill`: for its will, or its length. */
  isHopeless = false;
  isBadWill = false;
  /** An ERROR that ends the link has come, and its BYE not yet. */
  #isRefused = false;
  /** The code of an ERROR that named no message; it ends nothing by itself. */
  #unknown: string | undefined;

  readonly #socket: Socket;
  readonly #work: Work;
  readonly #answers: Answers;
  #rest: Buffer = Buffer.alloc(0);
  #keepaliveMs = 0;
  #frameBytesMax = 0;
  #id = 0;
  #heardAt = performance.now();
  #sentAt = performance.now();
  #lookedAt = performance.now();
  /** Before it looked last. */
  #stoppedMs = 0;
  /** Our PING has no PONG yet. */
  #isPinged = false;

  constructor(host: string, port: number, identity: Identity, work: Work, answers: Answers) {
    this.#work = work;
    this.#answers = answers;
    work.beginAnew();
    answers.forgetIds();
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.on('connect', () => {
      this.#heardAt = performance.now();
    });
    this.#socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#socket.on('error', (error) => console.log(`link: ${error.message}`));
    const options = { ...identity.proof, ...work.will, frameBytesMax: FRAME_MAX };
    this.#send([HELLO, 1, identity.deviceId, { ...options, keepalive: KEEPALIVE_WISH }]);
  }

  /** Resolves when the link is over, for whatever reason. */
  run(): Promise<void> {
    const clock = setInterval(() => this.#tick(), LOOK_MS);
    return new Promise((resolve) => {
      this.#socket.on('close', () => {
        clearInterval(clock);
        resolve();
      });
    });
  }

  /** False: the frame is longer than `limit`, and is not sent. */
  #send(fields: unknown[], limit = FRAME_MAX): boolean {
    const payload = packr.pack(fields);
    if (payload.length > limit) return false;
    if (fields.length === 5) payload[payload.length - 9] = 0xcf; // seq: msgpackr made it an int64
    const header = Buffer.alloc(HEADER);
    header.writeUInt32BE(payload.length);
    this.#socket.write(Buffer.concat([header, payload]));
    this.#sentAt = performance.now();
    return true;
  }

  #onData(chunk: Buffer): void {
    if (this.#isOver) return; // what comes after a BYE, be it ours, is not looked at
    this.#heardAt = performance.now();
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= HEADER && !this.#isOver) {
      const end = HEADER + this.#rest.readUInt32BE(0);
      if (end > HEADER + FRAME_MAX) return void this.#socket.destroy();
      if (this.#rest.length < end) break;
      this.#onFrame(this.#rest.subarray(HEADER, end));
      this.#rest = this.#rest.subarray(end);
    }
    this.#sendNext();
  }

  get #isOver(): boolean {
    return this.#socket.writableEnded || this.#socket.destroyed;
  }

  #onFrame(payload: Buffer): void {
    try {
      this.#onMessage(decode(payload));
    } catch (error) {
      console.log(`link: a broken frame (${(error as Error).message})`);
      this.#socket.destroy();
    }
  }

  #onMessage([type, ...fields]: [number, ...unknown[]]): void {
    if (type === WELCOME) this.#onWelcome(fields as [Buffer, Known?]);
    else if (type === PING) this.#send([PONG]);
    else if (type === PONG) this.#isPinged = false;
    else if (type === COMMAND) this.#onCommand(fields as Command);
    else if (type === ERROR) this.#onError(fields as [string?, string?, number?, number?]);
    else if (type === BYE) this.#onBye(fields as [string?, number?]);
    else if (type === ACK || type === REPLY) {
      this.#onAnswer(type, fields as [number, number?, Uint8Array?]);
    }
    // A type that a later version adds is passed over.
  }

  #onBye([reason = '', retryAfter]: [string?, number?]): void {
    console.log(`bye ${reason}`);
    this.reason = reason;
    this.#noteReason(reason);
    this.retryAfter = retryAfter;
    if (reason === this.#unknown) this.#work.findRefused();
    this.#end();
  }

  /** Why the link ends. */
  #noteReason(word: string): void {
    this.isBadWill = this.openedAt === 0 && HELLO_HOPELESS.includes(word);
    this.isHopeless = this.isBadWill || HOPELESS.includes(word);
  }

  #onError([code = '', message = '', id, about]: [string?, string?, number?, number?]): void {
    console.log(`error ${code}: ${message}`);
    this.#noteReason(code);
    if (this.openedAt === 0) return; // it is about HELLO
    if (ENDS.includes(code)) this.#isRefused = true;
    if (about === ACK || about === RESULT) this.#answers.spoil(id ?? 0);
    if (about || !this.#work.onError(id) || HARMLESS.includes(code)) return;
    if (ENDS.includes(code)) this.#work.findRefused();
    else this.#unknown = code;
  }

  /** Our FIN; Owsla's is waited for, but not for long. */
  #end(): void {
    if (this.#socket.writableEnded) return;
    this.#socket.end();
    const linger = setTimeout(() => this.#socket.destroy(), LINGER_MS);
    this.#socket.on('close', () => clearTimeout(linger));
  }

  #onWelcome([, options]: [Buffer, Known?]): void {
    this.openedAt = performance.now();
    const keepalive = options?.keepalive ?? KEEPALIVE;
    this.#keepaliveMs = keepalive * 1_000;
    this.#frameBytesMax = options?.frameBytesMax ?? FRAME_MAX_UP;
    console.log(`welcome, keepalive ${keepalive} s`);
  }

  #onCommand([id, topic, payload, meta]: Command): void {
    const key = Buffer.from(meta?.key ?? []);
    let answer = this.#answers.find(key.toString('hex'));
    const isLate = this.#waitedMs() > (meta?.expiresIn ?? Number.POSITIVE_INFINITY);
    if (!answer && (key.length !== KEY_BYTES || topic !== 'door.open' || isLate)) {
      this.#send([RESULT, id, STATUS_REFUSED]); // this device takes no other
      return;
    }
    this.#send([ACK, id]); // it has arrived; worth a frame of its own where acting takes time
    if (answer) console.log(`again ${topic}`);
    else {
      answer = { status: STATUS_FAILED, payload: Buffer.alloc(0), id }; // if power fails now
      this.#answers.keep(key.toString('hex'), answer);
      console.log(`command ${topic}: ${Buffer.from(payload ?? []).toString()}`); // it opens here
      Object.assign(answer, { status: STATUS_OK, payload: Buffer.from('opened') });
    }
    answer.id = id;
    this.#send([RESULT, id, answer.status, answer.payload]);
  }

  #onAnswer(type: number, [id, ...rest]: [number, number?, Uint8Array?]): void {
    const [status = 0, payload] = type === ACK ? [] : rest;
    if (!this.#work.settle(id, status === 0)) return;
    const text = Buffer.from(payload ?? []).toString();
    console.log(type === ACK ? `ack ${id}` : `reply ${id} status ${status}: ${text}`);
  }

  #sendNext(): void {
    const work = this.#work;
    if (this.#isOver) return;
    const isReady = this.openedAt > 0 && !this.#isRefused;
    while (isReady && this.#id < ID_MAX && !this.#socket.writableNeedDrain) {
      const kept = work.next();
      if (kept === undefined) break;
      const { type, topic, text } = work.itemOf(kept);
      this.#id += 1; // ids begin anew on a link; seq names the message for good
      kept.id = this.#id;
      const meta = { seq: BigInt(work.seq + kept.number) };
      const message = [type, kept.id, topic, Buffer.from(text), meta];
      if (this.#send(message, this.#frameBytesMax)) continue;
      console.log('the message is too long for Owsla');
      work.refuse(kept);
    }
    const isUsedUp = this.#id === ID_MAX && work.sent === 0;
    if (!work.isDone && !isUsedUp) return;
    this.#send([BYE, 'done']);
    this.#end();
  }

  /** So long a COMMAND may have lain in the socket: as long as this process was stopped. */
  #waitedMs(): number {
    return Math.max(this.#stoppedMs, stopped(performance.now() - this.#lookedAt));
  }

  /** PING when we were quiet, or heard nothing; give the link up when Owsla was quiet. */
  #tick(): void {
    const now = performance.now();
    this.#stoppedMs = stopped(now - this.#lookedAt);
    this.#lookedAt = now;
    const isOpen = this.openedAt > 0;
    const silenceMs = isOpen ? this.#keepaliveMs * 1.5 : GREETING_MS;
    // What lay in the socket while this process was stopped was heard: the next tick knows of it.
    const isSilent = this.#stoppedMs === 0 && now - this.#heardAt > silenceMs;
    if (isSilent) this.#socket.destroy();
    else if (isOpen && !this.#isOver) {
      const quietAt = Math.min(this.#sentAt, this.#heardAt);
      if (!this.#isPinged && now - quietAt > this.#keepaliveMs * 0.75) {
        this.#isPinged = true;
        this.#send([PING]);
      }
      this.#sendNext();
    }
  }
}

/** Owsla's word if it gave one; else a random part of a time that doubles with each failure. */
function waitMs({ reason, retryAfter, isHopeless }: Link, failures: number): number {
  const least = reason === 'taken-over' ? HELD_MS : 0;
  if (retryAfter !== undefined) return Math.max(Math.min(retryAfter, TOLD_MAX_MS), least);
  const most = isHopeless ? WAIT_MAX_MS : Math.min(WAIT_MAX_MS, WAIT_MIN_MS * 2 ** failures);
  return least + Math.random() * most;
}

async function run(host: string, port: number, identity: Identity, work: Work): Promise<number> {
  const answers = new Answers();
  for (let failures = 0; ; failures += 1) {
    const link = new Link(host, port, identity, work, answers);
    await link.run();
    if (work.isDone) return work.failed === 0 ? 0 : 1;
    if (link.openedAt > 0 && performance.now() - link.openedAt >= HELD_MS) failures = 0;
    if (link.isHopeless) console.log('this needs a human');
    if (link.isBadWill && work.will.will) {
      work.will = {};
      link.isHopeless = false;
    }
    const pause = waitMs(link, failures);
    console.log(`link lost, next in ${Math.round(pause)} ms`);
    await sleep(pause);
  }
}

/** The work that the arguments ask for, or `undefined` when they are wrong. */
function parseWork(args: string[]): Work | undefined {
  const items: Item[] = [];
  let [count, window, delay, will] = [1, 1, 0, {}];
  while (args.length > 0) {
    const [name = '', first, second] = args;
    const isText = first !== undefined && second !== undefined;
    if (name === '--count' && Number(first) >= 1) count = Number(first);
    else if (name === '--window' && Number(first) >= 1 && Number(first) <= WINDOW_MAX) {
      window = Number(first);
    } else if (name === '--will-delay' && Number(first) >= 0) delay = Number(first) * 1_000;
    else if (name === '--will' && isText) will = { topic: first, payload: Buffer.from(second) };
    else if ((name === '--event' || name === '--request') && isText) {
      items.push({ type: name === '--event' ? EVENT : REQUEST, topic: first, text: second });
    } else return undefined;
    args.splice(0, /^--(?:will|event|request)$/.test(name) ? 3 : 2);
  }
  return new Work(items, count, window, 'topic' in will ? { will: { ...will, delay } } : will);
}

const [host, port, deviceId = '', ...rest] = process.argv.slice(2);
const identity = identityOf(deviceId, rest);
const work = parseWork(rest);
if (host && port && identity && work) {
  process.exitCode = await run(host, Number(port), identity, work);
} else {
  const work = '[--event TOPIC TEXT] [--request TOPIC TEXT] [--count N] [--window N]';
  const options = `${work} [--will TOPIC TEXT] [--will-delay SECONDS] ${TOKEN_OPTIONS}`;
  console.error(`usage: device.ts HOST PORT DEVICE_ID ${options}`);
  process.exitCode = 64;
}
