/**
 * Device: one simulated device: it owns a link, and comes back after an end.
 * From: fleet.ts and load.ts (connect, send), the socket.  To: speech.ts, which knows what bytes
 * mean, ledger.ts, and its host.
 * Bound: IN_FLIGHT_MAX messages without an answer; callers ask `canSend` first.
 *
 *   down -> connecting (-> securing) -> greeting -> open -> down -> ...
 *                                          (muted: open, but playing dead)
 *
 * An idle link must stay small: one read buffer (dialer.ts) and one cutter of frames serve all
 * devices of the process; a device gets a cutter of its own only while a frame is incomplete, or
 * where its link has a speech of its own.
 */
import type { Socket } from 'node:net';
import { ProtocolError } from '../../src/base/errors.ts';
import { nowMs } from '../measure/clock.ts';
import { Ledger, type LedgerHost, type Pending } from '../measure/ledger.ts';
import { KIND } from '../plan/payload.ts';
import { type DialEvents, type Dialer, type Handshake, reset } from './dialer.ts';
import { KEY_BYTES, Keys } from './keys.ts';
import type { Commanded, Cutter, Heard, Speech, Template } from './speech.ts';
import type { Wills } from './wills.ts';

/** Why a link is over: `bye` and `error` are the server's words, `failed` never got a WELCOME. */
export interface End {
  readonly reason: string;
  readonly wasOpen: boolean;
  readonly retryAfterMs: number | undefined;
  readonly isOurs: boolean;
  /** Ours, without a goodbye. */
  readonly isCut: boolean;
}

/** What a device needs of the worker that it lives in. */
export interface DeviceHost extends LedgerHost {
  /** The token with which a device proves itself; undefined: there is none. */
  tokenOf(deviceId: string): string | undefined;
  readonly dialer: Dialer;
  readonly wills: Pick<Wills, 'payloadOf'>;
  readonly speech: Speech;
  /** The connection is there, with TLS if the plan wants it: say HELLO. */
  onConnected(device: Device): void;
  /** It is about to end without a goodbye. */
  onCut(device: Device): void;
  onOpen(device: Device): void;
  onEnd(device: Device, end: End): void;
  /** It acts on a command; true: it loses its link instead of answering. */
  onActed(device: Device, payload: Buffer): boolean;
  /** `device` has bytes to write; `flush` it at the end of this turn. */
  onQueued(device: Device): void;
}

export type State = 'down' | 'connecting' | 'securing' | 'greeting' | 'open' | 'muted';

let sharedFrames: Cutter | undefined;

export class Device implements DialEvents {
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
  /** It misbehaves on purpose: its times and unanswered messages say nothing about the server. */
  isFaulty = false;
  /** It connects once and sleeps until the fleet wakes it; `isAsleep` until then. */
  isSleeper = false;
  isAsleep = false;
  lastSentMs = 0;
  #startedConnectMs = 0;
  /** What resumes its last TLS session. */
  ticket: Buffer | undefined;
  /** Of this link. */
  #speech: Speech;
  #socket: Socket | undefined;
  /** What is below TLS; the socket itself where there is none. */
  #wire: Socket | undefined;
  #rest: Cutter | undefined;
  #queued: Buffer[] | undefined;
  /** Missing until the link's first message: an idle link stays small. */
  #ledger: Ledger | undefined;
  #reason = '';
  #retryAfterMs: number | undefined;
  #isOurEnd = false;
  #isCut = false;
  #readPauseMs = 0;
  // These go on across links.
  /** Missing until the first command. */
  #keys: Keys | undefined;
  #seq = 0;
  #requests = 0;
  #events = 0;

  constructor(index: number, id: string, host: DeviceHost) {
    this.index = index;
    this.id = id;
    this.#host = host;
    this.#speech = host.speech;
  }

  get pendingCount(): number {
    return this.#ledger?.size ?? 0;
  }

  get eventsSent(): number {
    return this.#events;
  }

  get canSend(): boolean {
    return this.state === 'open' && this.#ledger?.isFull !== true;
  }

  /** Start a link. `plannedMs` is when the plan wanted it; the connect time counts from there. */
  connect(plannedMs: number, localAddress: string | undefined, now: number): void {
    this.state = 'connecting';
    this.link += 1;
    this.plannedConnectMs = plannedMs;
    this.#startedConnectMs = now;
    this.#reason = '';
    this.#retryAfterMs = undefined;
    this.#isOurEnd = false;
    this.#isCut = false;
    this.#readPauseMs = 0;
    this.#host.measures.counts.attempts += 1;
    const own = this.#host.speech.linkOf?.(this.id);
    if (own !== undefined) {
      this.#speech = own;
      this.#rest = own.cutter();
    }
    const { socket, wire } = this.#host.dialer.dial(this, localAddress, this);
    this.#socket = socket;
    this.#wire = wire;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#reason === '') this.#reason = error.code ?? error.message;
    });
    socket.on('close', () => this.#onClose());
  }

  // DialEvents.

  onWire(): void {
    this.state = 'securing';
  }

  onOffer(): void {
    this.#host.measures.counts.ticketsOffered += 1;
  }

  onReady(kind: Handshake | undefined): void {
    if (kind !== undefined) this.#host.measures.label('handshakes', kind);
    this.state = 'greeting';
    this.#host.onConnected(this);
  }

  /** Write its greeting, or the rest of it. Where nobody answers that, the link is open with it. */
  greet(bytes: Buffer): void {
    this.write(bytes);
    const { unansweredKeepaliveS } = this.#speech;
    if (unansweredKeepaliveS !== undefined) this.#onWelcome(unansweredKeepaliveS);
  }

  /** The bytes of its greeting. */
  hello(): Buffer {
    const will = this.#host.wills.payloadOf(this);
    return this.#speech.hello(this.id, this.#host.tokenOf(this.id), will);
  }

  /** Write at once, whatever the bytes are. */
  write(bytes: Buffer): void {
    this.lastSentMs = nowMs();
    this.#host.measures.counts.bytesOut += bytes.length;
    this.#socket?.write(bytes);
  }

  ping(): void {
    this.#host.measures.counts.pings += 1;
    this.write(this.#speech.ping);
  }

  /** Send a REQUEST or EVENT with the next id; it leaves with the turn's `flush`. */
  send(template: Template, plannedMs: number, now: number): void {
    const { payloads, measures } = this.#host;
    const { kind, bytes } = template;
    const isRequest = kind === KIND.request;
    if (isRequest) this.#requests += 1;
    else this.#events += 1;
    const number = isRequest ? this.#requests : this.#events;
    this.#seq += 1;
    const id = this.#note({ kind, number, bytes, plannedMs, sentMs: now });
    const length = payloads.lengthOf(this.index, number, bytes);
    const mark = { device: this.index, number, kind };
    let frame: Buffer;
    if (template.wrap === undefined) {
      frame = template.make(id, this.#seq, length);
      payloads.fill(frame, template.payloadAt(length), length, mark);
    } else {
      const payload = Buffer.alloc(length);
      payloads.fill(payload, 0, length, mark);
      frame = template.wrap(this.#speech, id, payload);
    }
    measures.counts[isRequest ? 'requests' : 'events'] += 1;
    measures.counts.bytesOut += frame.length;
    if (this.#queued === undefined) {
      this.#queued = [frame];
      this.#host.onQueued(this);
    } else {
      this.#queued.push(frame);
    }
  }

  /** Into the ledger; of what nobody answers, there is nothing to wait for. */
  #note(pending: Pending): number {
    if (pending.kind === KIND.request || this.#speech.isSilentOnEvents !== true) {
      return this.#asked().add(pending);
    }
    this.#host.onSettled(this, pending, false, pending.sentMs);
    return pending.number;
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

  /** From now on read one chunk, then nothing for `pauseMs`, like a device that is too slow. */
  readSlowly(pauseMs: number): void {
    this.#readPauseMs = pauseMs;
  }

  /** End the link from our side: with BYE and FIN, or at once. */
  close(how: 'bye' | 'reset'): void {
    this.#isOurEnd = true;
    this.#isCut = how === 'reset';
    if (this.#isCut) this.#host.onCut(this);
    if (how === 'reset') reset(this.#wire, this.#host.plan.unix !== undefined);
    else this.#socket?.end(this.#speech.bye);
  }

  /** The server was too slow: count this try as failed. */
  abandon(reason: string): void {
    if (this.#reason === '') this.#reason = reason;
    this.#socket?.destroy();
  }

  /** Count messages sent before `before` as lost. */
  expire(before: number, now: number): void {
    this.#ledger?.expire(before, now);
  }

  onBytes(bytes: Buffer): boolean {
    this.#host.measures.counts.bytesIn += bytes.length;
    const speech = this.#speech;
    sharedFrames ??= this.#host.speech.cutter();
    const frames = this.#rest ?? sharedFrames;
    // Whatever stays behind must not point into the shared buffer.
    frames.push(this.#rest === undefined ? bytes : Buffer.from(bytes));
    try {
      for (let frame = frames.next(); frame !== undefined; frame = frames.next()) {
        this.#onHeard(speech.read(frame, this.#ledger?.lastId ?? 0));
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (frames === sharedFrames) sharedFrames = undefined;
      this.#host.violations.add('badFrames', this.id, () => `${error.code}: ${error.message}`);
      this.abandon('bad-frame');
      return true;
    }
    this.#keepRest(frames, bytes);
    if (this.#readPauseMs === 0) return true;
    const socket = this.#socket;
    setTimeout(() => socket?.resume(), this.#readPauseMs);
    return false;
  }

  #keepRest(frames: Cutter, bytes: Buffer): void {
    const left = frames.pendingBytes;
    if (frames !== sharedFrames) {
      if (left === 0 && this.#host.speech.linkOf === undefined) this.#rest = undefined;
    } else if (left > 0) {
      this.#rest = this.#host.speech.cutter();
      this.#rest.push(Buffer.from(bytes.subarray(bytes.length - left)));
      sharedFrames = undefined;
    }
  }

  #onHeard(heard: Heard): void {
    const { measures, violations } = this.#host;
    switch (heard.is) {
      case 'reply': {
        measures.counts.replies += 1;
        const ledger = this.#asked();
        ledger.onReply(heard.id ?? ledger.oldestId(KIND.request), heard.status, heard.payload);
        return;
      }
      case 'ack': {
        measures.counts.acks += 1;
        const ledger = this.#asked();
        ledger.onAnswer(heard.id ?? ledger.oldestId(KIND.event), KIND.event);
        return;
      }
      case 'welcome':
        this.#onWelcome(heard.keepaliveS);
        return;
      case 'ping':
        if (this.state !== 'muted') this.write(heard.answer ?? this.#speech.pong);
        return;
      case 'pong':
        measures.counts.pongs += 1;
        return;
      case 'command':
        this.#onCommand(heard);
        return;
      case 'bye':
        this.#reason = `bye:${heard.reason}`;
        this.#retryAfterMs = heard.retryAfterMs;
        return;
      case 'error':
        measures.label('errors', heard.code);
        return;
      case 'nonsense':
        violations.add('badFrames', this.id, () => heard.what);
        return;
      case 'aside':
    }
  }

  /** Act, unless this command was acted upon before; answer in both cases. */
  #onCommand(command: Commanded): void {
    const { counts } = this.#host.measures;
    const { id, payload, key } = command;
    counts.commands += 1;
    if (this.state !== 'open') return;
    if (key?.length !== KEY_BYTES) {
      this.#host.violations.add('badFrames', this.id, () => `COMMAND ${id} without a key`);
      return;
    }
    this.#keys ??= new Keys();
    if (!this.#keys.isNew(key)) counts.commandsAgain += 1;
    else if (this.#host.onActed(this, payload)) {
      this.close('reset');
      return;
    }
    this.write(this.#speech.answer(command, payload));
  }

  #onWelcome(keepaliveS: number): void {
    if (this.state !== 'greeting') {
      this.#host.violations.add('badFrames', this.id, () => 'a second WELCOME');
      return;
    }
    const now = nowMs();
    const { measures } = this.#host;
    this.state = 'open';
    this.failures = 0;
    this.keepaliveMs = keepaliveS * 1_000;
    measures.counts.welcomes += 1;
    if (!this.isFaulty) {
      measures.time('connect', now - this.plannedConnectMs);
      measures.time('connectRaw', now - this.#startedConnectMs);
    }
    this.#host.onOpen(this);
  }

  /** The ledger that an answer belongs to: an answer to nothing is for it to judge, too. */
  #asked(): Ledger {
    this.#ledger ??= new Ledger(this, this.#host);
    return this.#ledger;
  }

  #onClose(): void {
    const wasOpen = this.state === 'open' || this.state === 'muted';
    if (this.state === 'securing' && !this.#isOurEnd) {
      this.#host.measures.label('handshakes', 'failed');
    }
    const reason = this.#isOurEnd ? 'ours' : this.#reason === '' ? 'fin' : this.#reason;
    const ledger = this.#ledger;
    this.state = 'down';
    this.#socket = undefined;
    this.#wire = undefined;
    this.#rest = undefined;
    this.#queued = undefined;
    this.#ledger = undefined;
    ledger?.end(reason, this.#isOurEnd);
    this.#host.onEnd(this, {
      reason,
      wasOpen,
      retryAfterMs: this.#retryAfterMs,
      isOurs: this.#isOurEnd,
      isCut: this.#isCut,
    });
  }
}
