/**
 * Ledger: what one link has sent, what is still unanswered, and whether each answer is right.
 * From: device.ts: every send, REPLY and ACK.  To: measures, violations, and the host
 * (`onSettled`).
 * Bound: IN_FLIGHT_MAX unanswered messages; made at a link's first message, gone with the link.
 */
import { STATUS } from '../../src/base/errors.ts';
import { type Bytes, KIND, type Kind, type Payloads, readMark } from '../plan/payload.ts';
import { IN_FLIGHT_MAX, type Plan } from '../plan/plan.ts';
import { nowMs } from './clock.ts';
import type { Measures } from './measures.ts';
import type { Violations } from './violations.ts';

/** A message that waits for its REPLY or ACK. */
export interface Pending {
  readonly kind: Kind;
  /** The device's own number among its messages of this kind. */
  readonly number: number;
  readonly bytes: Bytes;
  readonly plannedMs: number;
  readonly sentMs: number;
}

/** Whose messages these are. */
export interface Owner {
  readonly index: number;
  readonly id: string;
  readonly link: number;
  /** It misbehaves on purpose: its times and unanswered messages say nothing about the server. */
  readonly isFaulty: boolean;
}

export interface LedgerHost {
  readonly plan: Plan;
  readonly payloads: Payloads;
  readonly measures: Measures;
  readonly violations: Violations;
  /** `pending` is answered, or given up. */
  onSettled(owner: Owner, pending: Pending, isAnswered: boolean, now: number): void;
}

export class Ledger {
  readonly #owner: Owner;
  readonly #host: LedgerHost;
  // Ids rise, and a Map keeps the order of insertion: the oldest message comes first.
  readonly #pending = new Map<number, Pending>();
  #expired: Set<number> | undefined;
  #nextId = 1;
  #lastReplyId = 0;

  constructor(owner: Owner, host: LedgerHost) {
    this.#owner = owner;
    this.#host = host;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** Of the message noted last; 0: none. */
  get lastId(): number {
    return this.#nextId - 1;
  }

  /** What has waited longest of this kind; that of no message, if none does. */
  oldestId(kind: Kind): number {
    for (const [id, pending] of this.#pending) if (pending.kind === kind) return id;
    return this.#nextId;
  }

  get isFull(): boolean {
    return this.#pending.size >= IN_FLIGHT_MAX;
  }

  /** Note a message; the id to send it with. */
  add(pending: Pending): number {
    const id = this.#nextId;
    this.#nextId += 1;
    this.#pending.set(id, pending);
    return id;
  }

  onReply(id: number, status: number, payload: Buffer): void {
    const { measures, violations, plan, payloads } = this.#host;
    measures.label('statuses', String(status));
    const mark = readMark(payload);
    const isOurs = mark !== undefined && payloads.isOurs(mark);
    if (plan.expect === 'echo' && isOurs && mark.device !== this.#owner.index) {
      // Not an answer: the request with this id, if there is one, still waits for its own.
      const text = `reply to id ${id} carries the payload of device ${mark.device}`;
      violations.add('misrouted', this.#owner.id, () => text);
      return;
    }
    const pending = this.#pending.get(id);
    if (pending?.kind === KIND.request) {
      this.#check(id, pending, status, payload);
      this.#noteOrder(id);
    }
    this.onAnswer(id, KIND.request);
  }

  /** A REPLY whose content has been looked at, or an ACK. */
  onAnswer(id: number, kind: Kind): void {
    const pending = this.#pending.get(id);
    if (pending === undefined || pending.kind !== kind) {
      this.#onStray(id, kind);
      return;
    }
    const { measures } = this.#host;
    const now = nowMs();
    if (!this.#owner.isFaulty) {
      const isRequest = kind === KIND.request;
      measures.time(isRequest ? 'request' : 'event', now - pending.plannedMs);
      measures.time(isRequest ? 'requestRaw' : 'eventRaw', now - pending.sentMs);
    }
    this.#pending.delete(id);
    this.#host.onSettled(this.#owner, pending, true, now);
  }

  /** Count messages sent before `before` as lost, or as un-ACKed. */
  expire(before: number, now: number): void {
    for (const [id, pending] of this.#pending) {
      if (pending.sentMs >= before) return;
      this.#giveUp(id, pending, now);
      this.#pending.delete(id);
      this.#expired ??= new Set();
      this.#expired.add(id);
      this.#host.onSettled(this.#owner, pending, false, now);
    }
  }

  /** The link is over, by our doing or not: nothing more will be answered. */
  end(reason: string, isOurs: boolean): void {
    const { measures, violations } = this.#host;
    const now = nowMs();
    for (const [id, pending] of this.#pending) {
      if (isOurs || this.#owner.isFaulty) {
        measures.counts.excused += 1;
      } else {
        const text = `${this.#name(id, pending)} was open when the link ended: ${reason}`;
        violations.add('cut', this.#owner.id, () => text);
      }
      this.#host.onSettled(this.#owner, pending, false, now);
    }
    this.#pending.clear();
  }

  #name(id: number, { kind, number }: Pending): string {
    const what = kind === KIND.request ? 'request' : 'event';
    return `${what} ${number} (id ${id} on link ${this.#owner.link})`;
  }

  #check(id: number, pending: Pending, status: number, payload: Buffer): void {
    const { plan, payloads, violations } = this.#host;
    const { number, kind, bytes } = pending;
    if (plan.expect === 'any') return;
    if (status !== STATUS.ok) {
      violations.add('wrong', this.#owner.id, () => `${this.#name(id, pending)}: status ${status}`);
      return;
    }
    const isRight =
      plan.expect === 'ok' || payloads.isSame(payload, this.#owner.index, number, kind, bytes);
    if (isRight) return;
    const got = payload.subarray(0, 24).toString('hex');
    violations.add('wrong', this.#owner.id, () => `${this.#name(id, pending)}: payload ${got}...`);
  }

  #noteOrder(id: number): void {
    const last = this.#lastReplyId;
    if (id > last) this.#lastReplyId = id;
    else
      this.#host.violations.add('reordered', this.#owner.id, () => `id ${id} came after ${last}`);
  }

  #giveUp(id: number, pending: Pending, now: number): void {
    const { measures, violations } = this.#host;
    if (this.#owner.isFaulty) {
      measures.counts.excused += 1;
      return;
    }
    violations.add(pending.kind === KIND.request ? 'lost' : 'unacked', this.#owner.id, () => {
      return `${this.#name(id, pending)} unanswered after ${Math.round(now - pending.plannedMs)} ms`;
    });
  }

  /** An answer to nothing that waits for it. */
  #onStray(id: number, kind: Kind): void {
    const { violations } = this.#host;
    const what = kind === KIND.request ? 'reply' : 'ACK';
    const { id: device, link } = this.#owner;
    if (this.#expired?.delete(id) === true) {
      violations.add('late', device, () => `${what} to id ${id}, given up before`);
    } else if (id < this.#nextId && !this.#pending.has(id)) {
      violations.add('doubled', device, () => `second ${what} to id ${id} on link ${link}`);
    } else {
      violations.add('misrouted', device, () => `${what} to id ${id}, which asked for none`);
    }
  }
}
