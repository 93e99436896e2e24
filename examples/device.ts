/**
 * device.ts - a device for Owsla in TypeScript: `node:net` and msgpackr, none of Owsla's own code.
 *
 *   node examples/device.ts 127.0.0.1 7000 door-17 --event hvac.temp 21.5 --request door.open now
 *
 * Does what device.c does: sends each message until it is answered, over as many links as that
 * takes, and prints what comes back; without messages it just stays connected. One that Owsla
 * refuses is dropped, and no other. The COMMAND `door.open` opens its door, once however often it
 * comes; `--will` leaves a word. docs/protocol.md. With what it proves who it is: token.ts.
 * Bound: WINDOW_MAX messages wait for their answers; an incomplete frame and KEYS answers are kept.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Packr } from 'msgpackr';
import { type Identity, identityOf, TOKEN_OPTIONS } from './token.ts';

const [HELLO, WELCOME, PING, PONG, EVENT, ACK, REQUEST, REPLY, COMMAND, RESULT, BYE, ERROR] = [
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
];
const [HEADER, FRAME_MAX] = [4, 4_096];
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
const HELD_MS = 60_000;
const WAIT_MIN_MS = 1_000;
const WAIT_MAX_MS = 120_000;
const TOLD_MAX_MS = 3_600_000;

/** They do not go away by trying. */
const HOPELESS = ['version', 'auth-failed', 'bad-device-id', 'blocked'];

const packr = new Packr({ useRecords: false, int64AsType: 'number' });

const isUint = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 0;

/** The required elements are there, and of their kind; else the frame is broken. */
function isWhole([type, first, second]: unknown[]): boolean {
  if (type === WELCOME) return first instanceof Uint8Array;
  if (type === REPLY) return isUint(first) && isUint(second);
  if (type === COMMAND) return isUint(first) && typeof second === 'string';
  return isUint(type === ACK ? first : type);
}

interface Item {
  readonly type: number | undefined;
  readonly topic: string;
  readonly text: string;
}

/** A message without its answer; id 0: not yet sent on this link. */
interface Kept {
  readonly number: number;
  id: number;
}

/** What was asked of us: these messages in turn, `total` of them; 0: none. */
class Work {
  readonly items: readonly Item[];
  readonly total: number;
  readonly window: number;
  /** HELLO's option of that name, if there is one. */
  readonly will: object;
  /** The first message's number, the same whenever it is sent again. Firmware keeps it in flash. */
  readonly seq = Date.now();
  failed = 0;
  /** In order. */
  readonly #kept: Kept[] = [];
  /** The first message that was never sent. */
  #next = 0;
  /** Messages below this number go one at a time. */
  #alone = 0;
  /** An ERROR named none: that mode begins on the next link. */
  #isUnclear = false;

  constructor(items: readonly Item[], count: number, window: number, will: object) {
    this.items = items;
    this.total = items.length * count;
    this.window = window;
    this.will = will;
  }

  get isDone(): boolean {
    return this.total > 0 && this.#next >= this.total && this.#kept.length === 0;
  }

  /** Sent on this link and not answered. */
  get sent(): number {
    return this.#kept.filter(({ id }) => id > 0).length;
  }

  /** A link is over, and its ids with it. */
  beginAnew(): void {
    for (const kept of this.#kept) kept.id = 0;
    if (this.#isUnclear) this.#alone = this.#next;
    this.#isUnclear = false;
  }

  /** The next message to send, `undefined` if none may be sent now. */
  next(): Kept | undefined {
    const sent = this.sent;
    if (sent > 0 && this.#isAlone) return undefined;
    if (sent === this.#kept.length) {
      if (sent >= this.window || this.#next >= this.total) return undefined;
      this.#kept.push({ number: this.#next, id: 0 });
      this.#next += 1;
    }
    return this.#kept[sent];
  }

  get #isAlone(): boolean {
    return (this.#kept[0]?.number ?? this.#alone) < this.#alone;
  }

  itemOf({ number }: Kept): Item {
    return this.items[number % this.items.length] as Item;
  }

  /** The message with this id was answered; false: there is none. */
  settle(id: number, isGood: boolean): boolean {
    const at = this.#find(id);
    if (at >= 0) this.#drop(at, isGood);
    return at >= 0;
  }

  /** This message will never be taken. */
  refuse(kept: Kept): void {
    this.#drop(this.#kept.indexOf(kept), false);
  }

  /**
   * Something that we sent was wrong. The message that is named is dropped and no other. If none
   * is, they go one at a time from the next link on, so that it is found.
   */
  onError(id: number | undefined): void {
    if (id === 0) return; // an EVENT that nobody keeps
    const at = id === undefined ? -1 : this.#find(id);
    if (at >= 0) this.#drop(at, false);
    else if (this.sent === 1 && this.#isAlone) this.#drop(0, false);
    else this.#isUnclear = true;
  }

  /** The message that has this id on this link; of two the one sent last. */
  #find(id: number): number {
    return id === 0 ? -1 : this.#kept.findLastIndex((kept) => kept.id === id);
  }

  #drop(at: number, isGood: boolean): void {
    this.#kept.splice(at, 1);
    if (!isGood) this.failed += 1;
  }
}

/** The fields of a COMMAND behind its type. */
type Command = [id: number, topic: string, payload?: Uint8Array, meta?: { key?: Uint8Array }];

interface Answer {
  status: number;
  payload: Buffer;
  /** Under which it was given last, on this link; else 0. */
  id: number;
}

/**
 * The last answers, by key; the first acted upon is forgotten first. They outlive links. Firmware
 * keeps them in flash as well, and writes the key before it acts: if power fails in between, the
 * door stayed shut. It acts at once, so nothing waits, and no `expiresIn` can be over by then.
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

/** One link, from connect to its end. */
class Link {
  openedAt = 0;
  reason = '';
  retryAfter: number | undefined;
  /** Our HELLO is refused. */
  isHopeless = false;

  readonly #socket: Socket;
  readonly #work: Work;
  readonly #answers: Answers;
  #rest: Buffer = Buffer.alloc(0);
  #keepaliveMs = 0;
  #frameBytesMax = 0;
  #id = 0;
  #heardAt = Date.now();
  #sentAt = Date.now();
  /** Our PING has no PONG yet. */
  #isPinged = false;

  constructor(host: string, port: number, identity: Identity, work: Work, answers: Answers) {
    this.#work = work;
    this.#answers = answers;
    work.beginAnew();
    answers.forgetIds();
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.on('connect', () => {
      this.#heardAt = Date.now();
    });
    this.#socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#socket.on('error', (error) => console.log(`link: ${error.message}`));
    const options = { ...identity.proof, ...work.will, frameBytesMax: FRAME_MAX };
    this.#send([HELLO, 1, identity.deviceId, { ...options, keepalive: KEEPALIVE_WISH }]);
  }

  /** Resolves when the link is over, for whatever reason. */
  run(): Promise<void> {
    const clock = setInterval(() => this.#tick(), 250);
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
    this.#sentAt = Date.now();
    return true;
  }

  #onData(chunk: Buffer): void {
    if (this.#isOver) return; // what comes after a BYE, be it ours, is not looked at
    this.#heardAt = Date.now();
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
      const fields = packr.unpack(payload);
      if (!isWhole(fields)) throw new Error('an element is missing');
      this.#onMessage(fields);
    } catch (error) {
      console.log(`link: a broken frame (${(error as Error).message})`);
      this.#socket.destroy();
    }
  }

  #onMessage([type, ...fields]: [number, ...unknown[]]): void {
    if (type === WELCOME) this.#onWelcome(fields as [Buffer, Record<string, number>?]);
    else if (type === PING) this.#send([PONG]);
    else if (type === PONG) this.#isPinged = false;
    else if (type === COMMAND) this.#onCommand(fields as Command);
    else if (type === ERROR) this.#onError(fields as [string, string, number?, number?]);
    else if (type === BYE) this.#onBye(fields as [string?, number?]);
    else if (type === ACK || type === REPLY) {
      this.#onAnswer(type, fields as [number, number?, Uint8Array?]);
    }
    // A type that a later version adds is passed over.
  }

  #onBye([reason = '', retryAfter]: [string?, number?]): void {
    console.log(`bye ${reason}`);
    this.reason = reason;
    this.isHopeless = HOPELESS.includes(reason);
    this.retryAfter = retryAfter ?? undefined;
    this.#end();
  }

  #onError([code, message, id, about]: [string, string, number?, number?]): void {
    console.log(`error ${code}: ${message}`);
    this.isHopeless = HOPELESS.includes(code);
    if (this.openedAt === 0) return; // it is about HELLO
    if (!about) this.#work.onError(id ?? undefined);
    else if (about === ACK || about === RESULT) this.#answers.spoil(id ?? 0);
    // The link is over if BYE stands behind it: what goes out until then is sent again.
  }

  /** Our FIN; Owsla's is waited for, but not for long. */
  #end(): void {
    if (this.#socket.writableEnded) return;
    this.#socket.end();
    const linger = setTimeout(() => this.#socket.destroy(), LINGER_MS);
    this.#socket.on('close', () => clearTimeout(linger));
  }

  #onWelcome([, options]: [Buffer, Record<string, number>?]): void {
    this.openedAt = Date.now();
    const keepalive = options?.keepalive ?? KEEPALIVE;
    this.#keepaliveMs = keepalive * 1_000;
    this.#frameBytesMax = options?.frameBytesMax ?? FRAME_MAX_UP;
    console.log(`welcome, keepalive ${keepalive} s`);
  }

  #onCommand([id, topic, payload, meta]: Command): void {
    const key = Buffer.from(meta?.key ?? []);
    let answer = this.#answers.find(key.toString('hex'));
    if (!answer && (key.length !== KEY_BYTES || topic !== 'door.open')) {
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
    while (this.openedAt > 0 && this.#id < ID_MAX && !this.#socket.writableNeedDrain) {
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

  /** PING when we were quiet, or heard nothing; give the link up when Owsla was quiet. */
  #tick(): void {
    const isOpen = this.openedAt > 0;
    const silenceMs = isOpen ? this.#keepaliveMs * 1.5 : GREETING_MS;
    if (Date.now() - this.#heardAt > silenceMs) this.#socket.destroy();
    else if (isOpen && !this.#isOver) {
      const quietAt = Math.min(this.#sentAt, this.#heardAt);
      if (!this.#isPinged && Date.now() - quietAt > this.#keepaliveMs * 0.75) {
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
    if (link.openedAt > 0 && Date.now() - link.openedAt >= HELD_MS) failures = 0;
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
