/**
 * Device: one simulated device: its link, what it has sent, and whether the answers are right.
 * From: fleet.ts and load.ts (connect, send), the socket.  To: measures, findings, and its host.
 * Bound: IN_FLIGHT_MAX messages without an answer; callers ask `canSend` first.
 *
 *   down -> connecting -> greeting -> open -> down -> ...        (muted: open, but playing dead)
 *
 * An idle link must stay small: one read buffer and one frame reader serve all devices of the
 * process; a device gets a reader of its own only while a frame is incomplete.
 */
import net from 'node:net';
import { ProtocolError, STATUS } from '../src/errors.ts';
import { FrameReader } from '../src/wire/frame.ts';
import { type Message, TYPE } from '../src/wire/message.ts';
import { decode, encode, VERSION } from '../src/wire/v1.ts';
import { nowMs } from './clock.ts';
import type { Findings } from './findings.ts';
import type { Measures } from './measures.ts';
import { type Bytes, KIND, type Kind, type Payloads, readMark } from './payload.ts';
import { FRAME_BYTES_MAX, IN_FLIGHT_MAX, type Plan } from './plan.ts';

/** A message that waits for its REPLY or ACK. */
export interface Pending {
  readonly kind: Kind;
  readonly number: number;
  readonly bytes: Bytes;
  readonly plannedMs: number;
  readonly sentMs: number;
}

/** Why a link is over: `bye` and `error` are the server's words, `failed` never got a WELCOME. */
export interface End {
  readonly reason: string;
  readonly wasOpen: boolean;
  readonly retryAfterMs: number | undefined;
  readonly isOurs: boolean;
}

/** What a device needs of the worker that it lives in. */
export interface DeviceHost {
  readonly plan: Plan;
  readonly payloads: Payloads;
  readonly measures: Measures;
  readonly findings: Findings;
  onOpen(device: Device): void;
  onEnd(device: Device, end: End): void;
  /** `pending` is answered or given up. */
  onSettled(device: Device, pending: Pending, now: number): void;
  /** `device` has bytes to write; `flush` it at the end of this turn. */
  onQueued(device: Device): void;
}

export type State = 'down' | 'connecting' | 'greeting' | 'open' | 'muted';

const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);
let sharedFrames = new FrameReader(FRAME_BYTES_MAX);
const PONG = encode({ type: TYPE.PONG });
const PING = encode({ type: TYPE.PING });
const NO_PENDING: ReadonlyMap<number, Pending> = new Map();

export class Device {
  readonly index: number;
  readonly id: string;
  readonly #host: DeviceHost;
  state: State = 'down';
  /** Counts this device's links; what was put on the agenda for an older one is out of date. */
  link = 0;
  /** Failed tries in a row, for the backoff. */
  failures = 0;
  /** Has the first try had its outcome? */
  isSettled = false;
  /** Its place in the fleet's list of open devices, or -1. */
  openAt = -1;
  plannedConnectMs = 0;
  keepaliveMs = 0;
  lastSentMs = 0;
  #startedConnectMs = 0;
  #socket: net.Socket | undefined;
  #rest: FrameReader | undefined;
  #queued: Buffer[] | undefined;
  #nextId = 1;
  #lastReplyId = 0;
  #pending: Map<number, Pending> | undefined;
  #expired: Set<number> | undefined;
  #reason = '';
  #retryAfterMs: number | undefined;
  #isOurEnd = false;
  // These go on across links.
  #seq = 0;
  #requests = 0;
  #events = 0;

  constructor(index: number, id: string, host: DeviceHost) {
    this.index = index;
    this.id = id;
    this.#host = host;
  }

  get pending(): ReadonlyMap<number, Pending> {
    return this.#pending ?? NO_PENDING;
  }

  get eventsSent(): number {
    return this.#events;
  }

  get canSend(): boolean {
    return this.state === 'open' && this.pending.size < IN_FLIGHT_MAX;
  }

  /** Start a link. `plannedMs` is when the plan wanted it; the connect time counts from there. */
  connect(plannedMs: number, localAddress: string | undefined, now: number): void {
    const { host, port } = this.#host.plan;
    this.state = 'connecting';
    this.link += 1;
    this.plannedConnectMs = plannedMs;
    this.#startedConnectMs = now;
    this.#nextId = 1;
    this.#lastReplyId = 0;
    this.#reason = '';
    this.#retryAfterMs = undefined;
    this.#isOurEnd = false;
    this.#host.measures.counts.attempts += 1;
    const socket = net.connect({
      host,
      port,
      noDelay: true,
      ...(localAddress === undefined ? {} : { localAddress }),
      onread: { buffer: READ_BUFFER, callback: (length) => this.#onBytes(length) },
    });
    this.#socket = socket;
    socket.once('connect', () => this.#onConnect());
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#reason === '') this.#reason = error.code ?? error.message;
    });
    socket.on('close', () => this.#onClose());
  }

  #onConnect(): void {
    this.state = 'greeting';
    if (this.#host.plan.faults.slowGreeting === 0) this.greet();
  }

  /** Send HELLO. */
  greet(): void {
    this.write(
      encode({
        type: TYPE.HELLO,
        version: VERSION,
        deviceId: this.id,
        token: undefined,
        keepalive: this.#host.plan.keepaliveS,
        frameBytesMax: undefined,
      }),
    );
  }

  /** Write at once, whatever the bytes are. */
  write(bytes: Buffer): void {
    this.lastSentMs = nowMs();
    this.#host.measures.counts.bytesOut += bytes.length;
    this.#socket?.write(bytes);
  }

  ping(): void {
    this.#host.measures.counts.pings += 1;
    this.write(PING);
  }

  /** Send a REQUEST or EVENT with the next id; it leaves with the turn's `flush`. */
  send(kind: Kind, topic: string, bytes: Bytes, plannedMs: number, now: number): void {
    const { payloads, measures } = this.#host;
    const id = this.#nextId;
    this.#nextId += 1;
    const isRequest = kind === KIND.request;
    if (isRequest) this.#requests += 1;
    else this.#events += 1;
    const number = isRequest ? this.#requests : this.#events;
    this.#seq += 1;
    const payload = payloads.make(this.index, number, kind, bytes);
    const meta = { seq: this.#seq };
    const type = isRequest ? TYPE.REQUEST : TYPE.EVENT;
    const frame = encode({ type, id, topic, payload, meta });
    this.#pending ??= new Map();
    this.#pending.set(id, { kind, number, bytes, plannedMs, sentMs: now });
    measures.counts[isRequest ? 'requests' : 'events'] += 1;
    measures.counts.bytesOut += frame.length;
    if (this.#queued === undefined) {
      this.#queued = [frame];
      this.#host.onQueued(this);
    } else {
      this.#queued.push(frame);
    }
  }

  /** Hand what `send` has queued to the socket, in one write. */
  flush(now: number): void {
    const queued = this.#queued;
    if (queued === undefined) return;
    this.#queued = undefined;
    this.lastSentMs = now;
    const [first] = queued;
    if (first !== undefined)
      this.#socket?.write(queued.length === 1 ? first : Buffer.concat(queued));
  }

  /** Stop reading, as a device does whose program hangs. */
  stopReading(): void {
    this.#socket?.pause();
  }

  /** End the link from our side: with BYE and FIN, or at once. */
  close(how: 'bye' | 'reset'): void {
    this.#isOurEnd = true;
    if (how === 'reset') this.#socket?.resetAndDestroy();
    else this.#socket?.end(encode({ type: TYPE.BYE, reason: '', retryAfter: undefined }));
  }

  /** The server was too slow: count this try as failed. */
  abandon(reason: string): void {
    if (this.#reason === '') this.#reason = reason;
    this.#socket?.destroy();
  }

  /** Count messages sent before `before` as lost; the oldest come first in the map. */
  expire(before: number, now: number): void {
    if (this.#pending === undefined) return;
    for (const [id, pending] of this.#pending) {
      if (pending.sentMs >= before) return;
      const isRequest = pending.kind === KIND.request;
      const finding = isRequest ? 'lost' : 'unacked';
      this.#host.findings.add(finding, this.id, () => {
        const age = Math.round(now - pending.plannedMs);
        return `${isRequest ? 'request' : 'event'} ${pending.number} (id ${id} on link ${this.link}) unanswered after ${age} ms`;
      });
      this.#pending.delete(id);
      this.#expired ??= new Set();
      this.#expired.add(id);
      this.#host.onSettled(this, pending, now);
    }
  }

  #onBytes(length: number): boolean {
    const bytes = READ_BUFFER.subarray(0, length);
    this.#host.measures.counts.bytesIn += length;
    const frames = this.#rest ?? sharedFrames;
    // Whatever stays behind must not point into the shared buffer.
    frames.push(this.#rest === undefined ? bytes : Buffer.from(bytes));
    try {
      for (let payload = frames.next(); payload !== undefined; payload = frames.next()) {
        this.#onMessage(decode(payload));
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (frames === sharedFrames) sharedFrames = new FrameReader(FRAME_BYTES_MAX);
      this.#host.findings.add('badFrames', this.id, () => `${error.code}: ${error.message}`);
      this.abandon('bad-frame');
      return true;
    }
    this.#keepRest(frames, bytes);
    return true;
  }

  #keepRest(frames: FrameReader, bytes: Buffer): void {
    const left = frames.pendingBytes;
    if (frames !== sharedFrames) {
      if (left === 0) this.#rest = undefined;
    } else if (left > 0) {
      this.#rest = new FrameReader(FRAME_BYTES_MAX);
      this.#rest.push(Buffer.from(bytes.subarray(bytes.length - left)));
      sharedFrames = new FrameReader(FRAME_BYTES_MAX);
    }
  }

  #onMessage(message: Message): void {
    const { measures } = this.#host;
    switch (message.type) {
      case TYPE.REPLY:
        measures.counts.replies += 1;
        this.#onReply(message.id, message.status, message.payload);
        return;
      case TYPE.ACK:
        measures.counts.acks += 1;
        this.#onAnswer(message.id, KIND.event);
        return;
      case TYPE.WELCOME:
        this.#onWelcome(message.keepalive);
        return;
      case TYPE.PING:
        if (this.state !== 'muted') this.write(PONG);
        return;
      case TYPE.PONG:
        measures.counts.pongs += 1;
        return;
      case TYPE.COMMAND:
        measures.counts.commands += 1;
        this.write(encode({ type: TYPE.ACK, id: message.id }));
        return;
      case TYPE.BYE:
        this.#reason = `bye:${message.reason}`;
        this.#retryAfterMs = message.retryAfter;
        return;
      case TYPE.ERROR:
        measures.label('errors', message.code);
        return;
      default:
        this.#host.findings.add('badFrames', this.id, () => `type ${message.type} from the server`);
    }
  }

  #onWelcome(keepaliveS: number): void {
    if (this.state !== 'greeting') {
      this.#host.findings.add('badFrames', this.id, () => 'a second WELCOME');
      return;
    }
    const now = nowMs();
    const { measures } = this.#host;
    this.state = 'open';
    this.failures = 0;
    this.keepaliveMs = keepaliveS * 1_000;
    measures.counts.welcomes += 1;
    measures.time('connect', now - this.plannedConnectMs);
    measures.time('connectRaw', now - this.#startedConnectMs);
    this.#host.onOpen(this);
  }

  #onReply(id: number, status: number, payload: Buffer): void {
    const { measures, findings, plan } = this.#host;
    measures.label('statuses', String(status));
    const mark = readMark(payload);
    const isOurs = mark !== undefined && this.#host.payloads.isOurs(mark);
    if (plan.expect === 'echo' && isOurs && mark.device !== this.index) {
      findings.add('misrouted', this.id, () => `reply to id ${id} carries device ${mark.device}`);
      return;
    }
    const pending = this.pending.get(id);
    if (pending !== undefined && pending.kind === KIND.request) {
      this.#checkReply(id, pending, status, payload);
      if (id < this.#lastReplyId) {
        findings.add('reordered', this.id, () => `id ${id} came after ${this.#lastReplyId}`);
      } else {
        this.#lastReplyId = id;
      }
    }
    this.#onAnswer(id, KIND.request);
  }

  #checkReply(id: number, { number, kind, bytes }: Pending, status: number, payload: Buffer): void {
    const { plan, payloads, findings } = this.#host;
    if (plan.expect === 'any') return;
    if (status !== STATUS.ok) {
      findings.add('wrong', this.id, () => `request ${number} (id ${id}) got status ${status}`);
      return;
    }
    if (plan.expect === 'ok' || payloads.isSame(payload, this.index, number, kind, bytes)) return;
    const got = payload.subarray(0, 24).toString('hex');
    findings.add('wrong', this.id, () => `request ${number} (id ${id}) got ${got}...`);
  }

  #onAnswer(id: number, kind: Kind): void {
    const pending = this.pending.get(id);
    if (pending === undefined || pending.kind !== kind) {
      this.#onStray(id, kind);
      return;
    }
    const { measures } = this.#host;
    const now = nowMs();
    const isRequest = kind === KIND.request;
    measures.time(isRequest ? 'request' : 'event', now - pending.plannedMs);
    measures.time(isRequest ? 'requestRaw' : 'eventRaw', now - pending.sentMs);
    this.#pending?.delete(id);
    this.#host.onSettled(this, pending, now);
  }

  #onStray(id: number, kind: Kind): void {
    const { findings } = this.#host;
    const what = kind === KIND.request ? 'reply' : 'ACK';
    if (this.#expired?.has(id)) {
      this.#expired.delete(id);
      findings.add('late', this.id, () => `${what} to id ${id}, given up before`);
    } else if (id < this.#nextId && !this.pending.has(id)) {
      findings.add('doubled', this.id, () => `second ${what} to id ${id} on link ${this.link}`);
    } else {
      findings.add('misrouted', this.id, () => `${what} to id ${id}, which asked for none`);
    }
  }

  #onClose(): void {
    const wasOpen = this.state === 'open' || this.state === 'muted';
    const now = nowMs();
    const reason = this.#isOurEnd ? 'ours' : this.#reason === '' ? 'fin' : this.#reason;
    const isFaulty = this.state === 'muted';
    const pending = this.#pending;
    this.state = 'down';
    this.#socket = undefined;
    this.#rest = undefined;
    this.#queued = undefined;
    this.#pending = undefined;
    this.#expired = undefined;
    for (const [id, message] of pending ?? []) {
      if (!this.#isOurEnd && !isFaulty) {
        const what = message.kind === KIND.request ? 'request' : 'event';
        const text = `${what} ${message.number} (id ${id}) was open when the link ended: ${reason}`;
        this.#host.findings.add('cut', this.id, () => text);
      }
      this.#host.onSettled(this, message, now);
    }
    this.#host.onEnd(this, {
      reason,
      wasOpen,
      retryAfterMs: this.#retryAfterMs,
      isOurs: this.#isOurEnd,
    });
  }
}
