/**
 * Tickets: the key of TLS tickets, one for all acceptors and their successors, so that a
 * device resumes wherever it comes back.
 * From: chance; the revocation lists, as they change.  To: acceptors, by their channel only.
 * Beside it, the secret under which processes remember what a backend has said of tokens.
 * Bound: one key. With a new one no old ticket is good: that is so after TICKET_KEY_MS, and when a
 * revocation list has changed, for whoever is on it must not resume.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ListenerConfig } from '../base/listeners.ts';
import type { ChildRole, StartMessage } from '../node/ipc.ts';

/** As long as a ticket is good. */
export const TICKET_KEY_MS = 86_400_000;
/** What OpenSSL takes: a name, a key of AES and one of HMAC. */
const KEY_BYTES = 48;
const SECRET_BYTES = 32;

export class Tickets {
  #paths: readonly string[];
  #key = newKey();
  readonly #authSecret = randomBytes(SECRET_BYTES).toString('base64');
  #lists: string;
  #madeAt: number;

  /** `now`: ms of a monotonic clock. */
  constructor(listeners: readonly ListenerConfig[], now: number) {
    this.#paths = listsOf(listeners);
    this.#lists = this.#digest();
    this.#madeAt = now;
  }

  /** After a reload: with other lists the next renewal makes another key. */
  follow(listeners: readonly ListenerConfig[]): void {
    this.#paths = listsOf(listeners);
  }

  /** Base64. */
  get key(): string {
    return this.#key;
  }

  /** What a child is told: only what it needs. */
  secretsFor(role: ChildRole): Pick<StartMessage, 'ticketKey' | 'authSecret'> {
    const ticketKey = role === 'acceptor' ? this.#key : '';
    return { ticketKey, authSecret: role === 'observer' ? '' : this.#authSecret };
  }

  isOld(now: number): boolean {
    return now - this.#madeAt >= TICKET_KEY_MS;
  }

  /** Files are read again, or a day is over: a new key where it is needed. */
  renew(now: number): void {
    const lists = this.#digest();
    if (lists === this.#lists && !this.isOld(now)) return;
    this.#lists = lists;
    this.#key = newKey();
    this.#madeAt = now;
  }

  /** One that cannot be read counts as another: acceptors keep theirs, and get a new key. */
  #digest(): string {
    const hash = createHash('sha256');
    for (const path of this.#paths) {
      try {
        // Each by itself: what moves from one list to the next is a change.
        hash.update(createHash('sha256').update(readFileSync(path)).digest());
      } catch {
        hash.update('unreadable');
      }
    }
    return hash.digest('hex');
  }
}

function listsOf(listeners: readonly ListenerConfig[]): readonly string[] {
  return listeners.flatMap(({ tls }) => (tls && tls.crl !== '' ? [tls.crl] : []));
}

function newKey(): string {
  return randomBytes(KEY_BYTES).toString('base64');
}
