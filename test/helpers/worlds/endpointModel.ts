/**
 * A small model of one link, for the command sequences of test/property/endpoint.test.ts.
 * From: what the test does to the link.  To: what must be seen of it after each step.
 * Bound: one link, fake routes; it keeps frames as words and knows nothing of sockets.
 */
import type { CloseReason, FatalCode } from '../../../src/base/errors.ts';

/** One frame of the device: a word for what it is, and its id where it has one. */
export interface Sent {
  readonly kind: Kind;
  readonly id: number;
}

/** What is refused before its state matters, and with which code. */
export const BROKEN = {
  'hello of version 2': 'version',
  'hello with a bad device id': 'bad-device-id',
  'event with a bad topic': 'bad-topic',
  'request with id 0': 'bad-id',
  'unknown type': 'unexpected',
  'no MessagePack': 'bad-frame',
  'length 0': 'bad-frame',
  'length too long': 'frame-too-long',
} as const satisfies Record<string, FatalCode>;

/** What only Owsla sends. */
export const DOWNWARD = ['welcome', 'reply', 'command', 'error'] as const;

export const VALID = [
  'hello',
  'ping',
  'pong',
  'ack',
  'result',
  'event',
  'event without id',
  'event with an old id',
  'request',
  'bye',
] as const;

export type Kind = keyof typeof BROKEN | (typeof DOWNWARD)[number] | (typeof VALID)[number];

/** What an ERROR about such a frame names: its id, and its type where the id is no EVENT's. */
const NAMED: Partial<Record<Kind, string>> = {
  'event with a bad topic': ' 1',
  'request with id 0': ' 0',
  ack: ' 1 of 6',
  reply: ' 1 of 8',
  command: ' 1 of 9',
  result: ' 1 of 10',
};

function named({ kind, id }: Sent): string {
  return /^event|^request/.test(kind) ? (NAMED[kind] ?? ` ${id}`) : (NAMED[kind] ?? '');
}

export interface ModelLimits {
  readonly inFlightMax: number;
  readonly greetingMs: number;
  readonly keepaliveMs: number;
  readonly lingerMs: number;
}

/** A chunk that the device wrote, as the frames it completes, or its FIN. */
type Chunk = readonly Sent[] | 'fin';

export class EndpointModel {
  readonly #limits: ModelLimits;
  state: 'greeting' | 'open' | 'draining' | 'closed' = 'greeting';
  reason: CloseReason | undefined;
  isPaused = false;
  isFinished = false;
  /** Ids of messages handed on. */
  readonly handed: number[] = [];
  /** Words for what the device got, in order. */
  readonly heard: string[] = [];
  room = Number.POSITIVE_INFINITY;
  held = 0;
  sentId = 0;
  #isWaiting = false;
  #inFlight = 0;
  #lastId = 0;
  readonly #read: Sent[] = [];
  readonly #unread: Chunk[] = [];
  #now = 1;
  #heardAt = 1;
  #pausedAt = 0;
  #pingedAt = 0;
  #endedAt = 0;

  constructor(limits: ModelLimits) {
    this.#limits = limits;
  }

  get isLive(): boolean {
    return this.state === 'greeting' || this.state === 'open';
  }

  // What the test does.

  write(chunk: readonly Sent[]): void {
    this.#unread.push(chunk);
    this.#flow();
  }

  fin(): void {
    this.isFinished = true;
    this.#unread.push('fin');
    this.#flow();
  }

  reset(): void {
    if (this.isLive) this.#end('peer-reset');
    this.state = 'closed';
  }

  release(count: number): void {
    const released = Math.min(count, this.held);
    for (let i = 0; i < released; i += 1) {
      this.held -= 1;
      this.#inFlight -= 1;
      this.#wake();
    }
    this.#flow();
  }

  makeRoom(room: number): void {
    this.room = room;
    if (this.#isWaiting && room > 0) {
      this.#isWaiting = false;
      this.#wake();
    }
    this.#flow();
  }

  pass(ms: number): void {
    const { greetingMs, keepaliveMs, lingerMs } = this.#limits;
    this.#now += ms;
    const now = this.#now;
    if (this.state === 'draining' && now - this.#endedAt >= lingerMs) this.state = 'closed';
    if (this.state === 'greeting' && now - 1 >= greetingMs) this.#bye('greeting-timeout');
    if (this.state !== 'open') return;
    if (!this.isPaused) {
      if (now - this.#heardAt > 1.5 * keepaliveMs) this.#bye('keepalive-timeout');
    } else if (now - Math.max(this.#pausedAt, this.#pingedAt) >= keepaliveMs / 2) {
      this.#pingedAt = now;
      this.heard.push('ping');
    }
  }

  // What follows from it.

  #flow(): void {
    while (this.#unread.length > 0 && !(this.isLive && this.isPaused)) {
      const chunk = this.#unread.shift() as Chunk;
      if (!this.isLive) continue;
      if (chunk === 'fin') this.#end('peer-fin');
      else {
        this.#heardAt = this.#now;
        this.#read.push(...chunk);
        this.#handle();
      }
    }
    // Both sides have sent FIN: nobody lingers.
    if (this.state === 'draining' && this.isFinished) this.state = 'closed';
  }

  #mayHandle(): boolean {
    return this.isLive && this.#inFlight < this.#limits.inFlightMax;
  }

  /** Only what goes to the broker needs room there. */
  #hasRoom({ kind }: Sent): boolean {
    const isPublished = kind === 'request' || kind.startsWith('event');
    if (!isPublished || kind in BROKEN || this.state !== 'open') return true;
    return this.room > 0 && !this.#isWaiting;
  }

  #handle(): void {
    while (this.#mayHandle()) {
      const [sent] = this.#read;
      if (sent === undefined) return;
      if (!this.#hasRoom(sent)) {
        this.#isWaiting = true;
        break;
      }
      this.#read.shift();
      this.#take(sent);
    }
    if (this.isLive) this.#pause();
  }

  #pause(): void {
    if (this.isPaused) return;
    this.isPaused = true;
    this.#pausedAt = this.#now;
  }

  #wake(): void {
    if (!this.isPaused) return;
    if (!this.#mayHandle()) {
      this.#pause();
      return;
    }
    this.#heardAt += this.#now - this.#pausedAt;
    this.isPaused = false;
    this.#handle();
  }

  #take(sent: Sent): void {
    const { kind } = sent;
    if (kind in BROKEN) this.#refuse(BROKEN[kind as keyof typeof BROKEN], sent);
    else if (this.state === 'open') this.#takeOpen(sent);
    else if (kind !== 'hello') this.#refuse('unexpected', sent);
    else {
      this.state = 'open';
      this.heard.push('welcome');
    }
  }

  #takeOpen(sent: Sent): void {
    switch (sent.kind) {
      case 'ping':
        this.heard.push('pong');
        break;
      case 'pong':
      case 'ack':
      case 'result':
        break;
      case 'bye':
        this.#end('peer-bye');
        break;
      case 'event':
      case 'event without id':
      case 'event with an old id':
      case 'request':
        this.#hand(sent);
        break;
      default:
        this.#refuse('unexpected', sent);
    }
  }

  #hand(sent: Sent): void {
    const { id } = sent;
    if (id !== 0 && id <= this.#lastId) {
      this.#refuse('bad-id', sent);
      return;
    }
    if (id !== 0) {
      this.#lastId = id;
      this.#inFlight += 1;
      this.held += 1;
    }
    this.room -= 1;
    this.handed.push(id);
  }

  #refuse(code: FatalCode, sent: Sent): void {
    this.heard.push(`error ${code}${named(sent)}`);
    this.#bye(code);
  }

  #bye(reason: CloseReason): void {
    this.heard.push(`bye ${reason}`);
    this.#end(reason);
    this.#flow();
  }

  #end(reason: CloseReason): void {
    this.reason = reason;
    this.state = 'draining';
    this.isPaused = false;
    this.#endedAt = this.#now;
  }
}
