/**
 * LinkFacts: what a node says of its links, those that are and those that have ended, and of what
 * people do to them: the questions on control.sock and the JSON of the HTTP API are these.
 * From: acceptors, by linkQuestions.ts; merged by the observer.  To: command line, HTTP, page.
 * Bound: a page has `linksPageMax` rows. No secret and no payload is in any of it.
 */
import type { CloseReason, EstablishFailure } from '../base/errors.ts';
import type { LinkPhase } from '../base/linkPhase.ts';
import type { AuthMethod } from '../base/listeners.ts';

/** Why a link is not read now: `readGate.ts`; `broker` has no room for its next message. */
export type PauseReason =
  | 'identity'
  | 'moving'
  | 'memory'
  | 'in-flight'
  | 'outbox'
  | 'rate'
  | 'broker';

/** A row of `links`. */
export interface LinkFacts {
  /** Empty until it is proved. */
  readonly device: string;
  readonly connection: string;
  /** 1 up. */
  readonly acceptor: number;
  readonly listener: string;
  readonly protocol: string;
  /** Address and port; empty where that is no longer known. */
  readonly peer: string;
  readonly state: LinkPhase;
  readonly ageMs: number;
  /** Since bytes came last; of a paused link without the time of the pause. */
  readonly idleMs: number;
  readonly keepaliveMs: number;
  readonly identity?: IdentityFacts;
  /** While it is not read. */
  readonly paused?: PauseReason;
  readonly pausedMs?: number;
  /** Messages a second, both ways, over the last seconds. */
  readonly ratePerSecond: number;
  /** EVENTs not confirmed and REQUESTs not answered yet. */
  readonly inFlight: number;
  /** Sent, and not taken by the device yet. */
  readonly outboxBytes: number;
  /** Memory of these, and of what came and is not handled yet. */
  readonly heldBytes: number;
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Messages to topics that its device may not publish to. */
  readonly notAllowed: number;
}

export interface IdentityFacts {
  readonly method: AuthMethod;
  /** What proved it: the id of a key, the number of a certificate. Never a secret. */
  readonly by?: string;
  /** Until the proof ends; absent where it does not. */
  readonly expiresInMs?: number;
}

/** What `link` says besides: all that its endpoint knows. */
export interface LinkDetail extends LinkFacts {
  readonly incarnation: string;
  /** ms since 1970. */
  readonly acceptedAt: number;
  /** Patterns that its device may publish to; absent: everything. */
  readonly topics?: readonly string[];
  /** COMMANDs sent and not answered by a RESULT. */
  readonly commandsOpen: number;
  /** REQUESTs not answered yet: part of `inFlight`. */
  readonly requestsOpen: number;
  /** Of inFlight: it may have so many, by the length of its answers. */
  readonly inFlightMax: number;
  /** Since our last PING; absent before the first. */
  readonly pingedMsAgo?: number;
}

/** A link that has ended, or never opened. */
export interface ClosedFacts {
  /** Monotonic µs of this machine: the order of ends, and a page goes on by it. */
  readonly order: number;
  /** Of one that never opened: as it was said, if at all. */
  readonly device: string;
  /** It proved who it is. */
  readonly isProved: boolean;
  /** Empty where it was refused before it had one. */
  readonly connection: string;
  readonly acceptor: number;
  readonly listener: string;
  readonly peer: string;
  readonly reason: CloseReason | EstablishFailure;
  /** What was wrong, in fixed words. */
  readonly why?: string;
  /** When, in ms since 1970. */
  readonly at: number;
  readonly durationMs: number;
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** A process that did not say its part: what it knows is missing. */
export interface MissingAnswer {
  readonly acceptor: number;
  readonly why: string;
}

/** Of every answer that acceptors have a part in. */
interface Merged {
  readonly missing: readonly MissingAnswer[];
}

/** `links {after, limit, where}`, by connection id; or, with `sort`, the first of all by that. */
export interface LinksAnswer extends Merged {
  readonly rows: readonly LinkFacts[];
  /** Give it as `after` for the next page, which may be empty; absent: that was all. */
  readonly next?: string;
}

/** `link {device}`: usually one; two while one displaces the other; none: not connected. */
export interface LinkAnswer extends Merged {
  readonly device: string;
  readonly links: readonly LinkDetail[];
  /** Its last ends, the newest first. */
  readonly closed: readonly ClosedFacts[];
}

/** `closed {device, where, limit, before}`: the newest first. */
export interface ClosedAnswer extends Merged {
  readonly rows: readonly ClosedFacts[];
  /** Give it as `before` for the next page; absent: that was all. */
  readonly next?: string;
  /** With `by` there are no rows, but how many there are of each: the most first. */
  readonly groups?: readonly ClosedGroup[];
}

export interface ClosedGroup {
  readonly key: string;
  readonly ends: number;
  /** Of the last one. */
  readonly at: number;
  readonly reason: string;
}

/** `disconnect {device, retryAfterMs}`. */
export interface DisconnectAnswer extends Merged {
  readonly device: string;
  /** So many links of it were told BYE. */
  readonly disconnected: number;
}

/** `drain`, `resume`: the node takes links, or does not. */
export interface DrainAnswer extends Merged {
  readonly isDrained: boolean;
  /** It was so before. */
  readonly already: boolean;
  /** That there are now: of a drained node, they are being told to come back later. */
  readonly links: number;
}
