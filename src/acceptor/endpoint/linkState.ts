/**
 * LinkState: the plain fields of a link: what it is and has done, apart from its socket.
 * From: its Endpoint, which changes them.  To: gate, keepalive, routes; linkFields.ts, for people.
 * Bound: some numbers, whatever the link does. The fields are the endpoint's own, for it is one: an
 * object beside it would cost each link its header and a pointer.
 */
import type { LinkPhase } from '../../base/linkPhase.ts';
import type { Proof } from './proof.ts';
import type { LinkFigures } from './snapshot.ts';
import type { Tap } from './tap.ts';

/** The rate follows what was seen since the last look by this share. */
const RATE_SHARE = 1 / 2;
const MS_PER_SECOND = 1_000;
/** Messages in a thousand seconds: whole, so that V8 keeps it unboxed. */
const RATE_UNIT = 1_000;

export class LinkState {
  state: LinkPhase = 'greeting';
  /** Empty until it is proved. */
  deviceId = '';
  /** How it was proved, and what its device may publish. */
  proof: Proof | undefined;
  /** Messages under way: the routes `hold` and `release`. */
  inFlight = 0;

  // Times are the host clock's ms; see KeepaliveTimes.
  keepaliveMs = 0;
  heardAt = 0;
  pausedAt = 0;
  pingedAt = 0;

  // For people.

  messagesIn = 0;
  messagesOut = 0;
  /** Messages to topics that its device may not publish to. */
  notAllowed = 0;
  /** Bytes of the time before it came from another process; usually undefined. */
  before: Pick<LinkFigures, 'bytesIn' | 'bytesOut'> | undefined;
  /** Who looks at each of its frames; undefined: nobody. */
  tap: Tap | undefined;
  #rate = 0;
  /** Messages at the last look. */
  #counted = 0;

  /** Is it between two processes? */
  get isMoving(): boolean {
    return this.state === 'moving' || this.state === 'adopted';
  }

  /** One more message of this link is under way: an EVENT unconfirmed, a REQUEST unanswered. */
  hold(): void {
    this.inFlight += 1;
  }

  /** Messages a second, both ways, of the last few looks. */
  get ratePerSecond(): number {
    return this.#rate / RATE_UNIT;
  }

  /** The look at its rate, `ms` after the one before. An idle link is read, and not written to. */
  countRate(ms: number): void {
    const messages = this.messagesIn + this.messagesOut;
    if (messages === this.#counted && this.#rate === 0) return;
    const now = ((messages - this.#counted) * MS_PER_SECOND * RATE_UNIT) / ms;
    this.#rate += Math.trunc((now - this.#rate) * RATE_SHARE);
    if (now === 0 && this.#rate === 1) this.#rate = 0;
    this.#counted = messages;
  }
}
