/**
 * Verdicts: what a backend has said of devices, kept for as long as it may count. Pure.
 * From: authenticator.ts in the registrar, and from there each acceptor.
 * To: both of them: one asks the backend less often, the other lets known devices in when nobody
 * can be asked.
 * Bound: `authCacheMax`, of which a tenth may be refusals: whoever tries tokens pushes out only
 * other refusals. The oldest go first; none is older than `authStaleMs`, nor ended.
 *
 * No token is kept, only a hash of it that is worth nothing without the secret of the node.
 */
import { createHmac } from 'node:crypto';
import type { Limits } from '../base/limits.ts';

/** A device that asks to be let in. `token`: '' if it has none. */
export interface AuthQuestion {
  readonly device: string;
  readonly token: string;
  readonly peer: string;
  readonly listener: string;
}

export interface BackendVerdict {
  readonly isAllowed: boolean;
  /** ms since 1970; 0: never. */
  readonly expiresAt: number;
  /** AMQP patterns of what it may publish; undefined: nothing is said. */
  readonly topics?: readonly string[] | undefined;
}

/**
 * What became of a question. `silent`: there is no answer, and what was said before counts.
 * `crowded`: too many others are asked about, and nothing counts.
 */
export type Said = BackendVerdict | 'silent' | 'crowded';

/** One as it travels: how old it is instead of when, as each process has a clock of its own. */
export type VerdictWord = readonly [
  key: string,
  ageMs: number,
  isAllowed: boolean,
  expiresAt: number,
  topics: readonly string[] | null,
];

export type VerdictMessage = readonly ['verdict', words: readonly VerdictWord[]];

/** Verdicts in one message: some 50 kB. */
const PIECE = 500;

/** Of all that a verdict depends on. Neither a device id nor a name of a listener has a zero. */
export function verdictKey(
  secret: Buffer,
  { device, token, listener }: Omit<AuthQuestion, 'peer'>,
): string {
  const hmac = createHmac('sha256', secret).update(`${device}\0${token}\0${listener}`);
  return hmac.digest('base64');
}

/** Of `authCacheMax`, this part may be refusals. */
const REFUSED_SHARE = 0.1;

interface Entry {
  readonly verdict: BackendVerdict;
  /** Monotonic, in ms. */
  readonly at: number;
}

export interface VerdictsOptions {
  readonly limits: Limits;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** ms since 1970. */
  readonly wall: () => number;
}

export class Verdicts {
  readonly #options: VerdictsOptions;
  /** Each in the order in which they were said. */
  readonly #allowed = new Map<string, Entry>();
  readonly #refused = new Map<string, Entry>();

  constructor(options: VerdictsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#allowed.size + this.#refused.size;
  }

  /** The backend has just said this, or `ageMs` ago. Nothing if something newer is known. */
  put(key: string, verdict: BackendVerdict, ageMs = 0): void {
    const at = this.#options.now() - ageMs;
    const known = this.#find(key);
    if (known !== undefined && known.at > at) return;
    this.#allowed.delete(key);
    this.#refused.delete(key);
    (verdict.isAllowed ? this.#allowed : this.#refused).set(key, { verdict, at });
    const { authCacheMax } = this.#options.limits;
    const refusedMax = Math.floor(authCacheMax * REFUSED_SHARE);
    this.#trim(this.#refused, refusedMax);
    this.#trim(this.#allowed, authCacheMax - refusedMax);
  }

  #trim(entries: Map<string, Entry>, max: number): void {
    for (const [key, { at }] of entries) {
      if (entries.size <= max && this.#options.now() - at < this.#options.limits.authStaleMs) {
        return;
      }
      entries.delete(key);
    }
  }

  #find(key: string): Entry | undefined {
    return this.#allowed.get(key) ?? this.#refused.get(key);
  }

  /** What counts without asking. */
  fresh(key: string): BackendVerdict | undefined {
    return this.#within(key, this.#options.limits.authCacheMs);
  }

  /** What counts when nobody answers. */
  stale(key: string): BackendVerdict | undefined {
    return this.#within(key, this.#options.limits.authStaleMs);
  }

  #within(key: string, ms: number): BackendVerdict | undefined {
    const entry = this.#find(key);
    if (entry === undefined || this.#options.now() - entry.at >= ms) return undefined;
    const { expiresAt } = entry.verdict;
    // It was good until then: whether it is again, only the backend knows.
    if (expiresAt !== 0 && expiresAt <= this.#options.wall()) return undefined;
    return entry.verdict;
  }

  /** One of them. */
  tell(key: string): VerdictMessage {
    const entry = this.#find(key);
    return ['verdict', entry === undefined ? [] : [this.#wordOf(key, entry)]];
  }

  /** All of them for another process, each as it is when it is taken. */
  *told(): Generator<VerdictMessage, void> {
    let words: VerdictWord[] = [];
    for (const entries of [this.#refused, this.#allowed]) {
      for (const [key, entry] of entries) {
        words.push(this.#wordOf(key, entry));
        if (words.length < PIECE) continue;
        yield ['verdict', words];
        words = [];
      }
    }
    if (words.length > 0) yield ['verdict', words];
  }

  #wordOf(key: string, { verdict, at }: Entry): VerdictWord {
    const { isAllowed, expiresAt, topics = null } = verdict;
    return [key, this.#options.now() - at, isAllowed, expiresAt, topics];
  }

  /** What another process knows. */
  hear([, words]: VerdictMessage): void {
    for (const [key, ageMs, isAllowed, expiresAt, topics] of words) {
      this.put(key, { isAllowed, expiresAt, ...(topics === null ? {} : { topics }) }, ageMs);
    }
  }
}
