/**
 * Books: every message of a run, and what became of it. Pure.
 * From: ledger entries, each device's in its order.
 * To: findings, each a broken promise; figures; and what was due when, for recovery.ts, which
 * tells when all was well again.
 * Bound: some 200 bytes for each message.
 */
import { STATUS } from '../../src/base/errors.ts';
import { Findings } from './findings.ts';
import { type Entry, nameOf } from './ledger.ts';

/** Each is a promise of docs/amqp.md or docs/protocol.md that was not kept. */
const FINDINGS = {
  lost: 'EVENTs that were ACKed and never reached the backend',
  unacked: 'EVENTs of a link that stayed, never ACKed',
  unanswered: 'REQUESTs of a link that stayed, not answered when they were due',
  answeredTwice: 'REQUESTs answered twice, or EVENTs ACKed twice',
  wrongLink: 'answers on a link that had not asked, or with the payload of another message',
  publishedLate: 'REQUESTs published after their answer or their deadline',
  renamed: 're-sent messages with another message_id than their first copy',
  disordered: 'EVENTs that overtook an earlier one of their link, re-sends apart',
  unsent: 'messages at the backend that no device has sent',
} as const;
export type Finding = keyof typeof FINDINGS;

export interface Span {
  readonly from: number;
  readonly to: number;
}

export interface Rules {
  readonly requestMs: number;
  /** What an answer may take beyond its deadline: timers, and the way back. */
  readonly graceMs: number;
  /** While one lasts links may not be read from, and so deadlines begin only at its end. */
  readonly outages: readonly Span[];
  /** When the devices stopped: what was not due by then is not judged. */
  readonly endedAt: number;
}

/** One message that was due; `okAt` is when it was ACKed, or answered with status 0. */
export interface Planned {
  readonly at: number;
  readonly okAt: number;
}

/** One message, and how long it took until it was ACKed, or answered with status 0. */
export interface Timing {
  readonly kind: 'event' | 'request';
  readonly at: number;
  /** Infinity: it never was. */
  readonly tookMs: number;
}

/** So far may the monotonic clock, which rules deadlines, and that of the headers part. */
const CLOCKS_MS = 20;

class Message {
  kind: 'event' | 'request' | undefined;
  sentAt = 0;
  answeredAt = Number.POSITIVE_INFINITY;
  answers = 0;
  /** An ACK for a REQUEST, or a REPLY for an EVENT. */
  isWrongKind = false;
  status = -1;
  copies = 0;
  publishedAt = 0;
  /** When Owsla read it, by its own clock: its deadline begins. */
  receivedAt = Number.POSITIVE_INFINITY;
  resent: string | undefined;
  readonly link: Link;
  readonly id: number;

  constructor(link: Link, id: number) {
    this.link = link;
    this.id = id;
  }

  get name(): string {
    return nameOf(this.link.device, this.link.link, this.id);
  }

  get isOk(): boolean {
    return this.kind === 'event' ? this.answers > 0 : this.status === STATUS.ok;
  }
}

class Link {
  readonly device: number;
  readonly link: number;
  connection = '';
  endedAt = Number.POSITIVE_INFINITY;
  /** Highest id of the EVENTs that came to the backend as first copies. */
  lastEventId = 0;

  constructor(device: number, link: number) {
    this.device = device;
    this.link = link;
  }
}

export class Books {
  readonly counts = {
    events: 0,
    requests: 0,
    acks: 0,
    skipped: 0,
    links: 0,
    /** REQUESTs and EVENTs without an answer, as their link ended before one was due. */
    cut: 0,
    eventsGot: 0,
    requestsGot: 0,
    /** Further copies of a message at the backend. */
    repeats: 0,
    resent: 0,
    /** REQUESTs that reached the backend only after their deadline: published in time. */
    stale: 0,
    /** Longest time from a message's sending to its answer, in ms. */
    slowestMs: 0,
  };
  readonly statuses = new Map<number, number>();
  readonly ends = new Map<string, number>();
  /** Links, by their protocol. */
  readonly tongues = new Map<string, number>();
  readonly findings = new Findings(FINDINGS);
  readonly #messages = new Map<string, Message>();
  readonly #links = new Map<string, Link>();
  readonly #skippedAt: number[] = [];

  constructor(entries: Iterable<Entry>) {
    for (const entry of entries) this.#add(entry);
  }

  #add(entry: Entry): void {
    const { counts } = this;
    switch (entry.what) {
      case 'open':
        counts.links += 1;
        this.#link(entry).connection = entry.connection;
        this.tongues.set(entry.tongue, (this.tongues.get(entry.tongue) ?? 0) + 1);
        return;
      case 'end':
        this.#link(entry).endedAt = entry.at;
        this.ends.set(entry.reason, (this.ends.get(entry.reason) ?? 0) + 1);
        return;
      case 'event':
      case 'request': {
        counts[`${entry.what}s`] += 1;
        const message = this.#message(entry);
        message.kind = entry.what;
        message.sentAt = entry.at;
        return;
      }
      case 'ack':
        counts.acks += 1;
        this.#answer(this.#message(entry), entry.at, 'event');
        return;
      case 'reply':
        this.#reply(entry);
        return;
      case 'skipped':
        counts.skipped += 1;
        this.#skippedAt.push(entry.at);
        return;
      case 'got':
        this.#got(entry);
    }
  }

  #link({ device, link }: { device: number; link: number }): Link {
    const key = `${device}.${link}`;
    let found = this.#links.get(key);
    if (found === undefined) {
      found = new Link(device, link);
      this.#links.set(key, found);
    }
    return found;
  }

  #message(of: { device: number; link: number; id: number }): Message {
    const key = nameOf(of.device, of.link, of.id);
    let found = this.#messages.get(key);
    if (found === undefined) {
      found = new Message(this.#link(of), of.id);
      this.#messages.set(key, found);
    }
    return found;
  }

  #answer(message: Message, at: number, kind: 'event' | 'request'): void {
    // A device sends before it is answered, and its entries stand in that order.
    message.isWrongKind ||= message.kind !== kind;
    message.answers += 1;
    message.answeredAt = Math.min(message.answeredAt, at);
  }

  #reply(entry: Extract<Entry, { what: 'reply' }>): void {
    const { status } = entry;
    const message = this.#message(entry);
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
    this.#answer(message, entry.at, 'request');
    message.status = status;
    if (status === STATUS.ok && entry.of !== message.name) {
      this.findings.find(
        'wrongLink',
        `${message.name} was answered with the payload '${entry.of}'`,
      );
    }
  }

  #got(entry: Extract<Entry, { what: 'got' }>): void {
    const { counts } = this;
    const message = this.#message(entry);
    counts[`${entry.kind}sGot`] += 1;
    message.copies += 1;
    if (message.copies > 1) counts.repeats += 1;
    if (entry.resent !== undefined) {
      counts.resent += 1;
      message.resent = entry.resent;
    }
    if (entry.kind === 'event') {
      if (entry.resent === undefined && entry.redelivered === undefined) this.#order(message);
      return;
    }
    const { publishedAt, receivedAt, deadline } = entry;
    if (publishedAt === undefined || receivedAt === undefined || deadline === undefined) return;
    message.publishedAt = Math.max(message.publishedAt, publishedAt);
    message.receivedAt = Math.min(message.receivedAt, receivedAt);
    if (entry.at > deadline) counts.stale += 1;
  }

  #order({ link, id, name }: Message): void {
    if (id < link.lastEventId)
      this.findings.find('disordered', `${name} came after id ${link.lastEventId}`);
    link.lastEventId = Math.max(link.lastEventId, id);
  }

  /** Judge every message. Called once, when all is added. */
  close(rules: Rules): void {
    for (const message of this.#messages.values()) {
      if (message.kind === undefined) this.#judgeUnsent(message);
      else this.#judge(message, message.kind, rules);
    }
  }

  /** Nobody sent it, and still somebody got it, or an answer to it. */
  #judgeUnsent({ name, copies, answers }: Message): void {
    if (copies > 0) this.findings.find('unsent', name);
    if (answers > 0) this.findings.find('wrongLink', `${name} was answered and never sent`);
  }

  #judge(message: Message, kind: 'event' | 'request', rules: Rules): void {
    const { name, link, answers, copies, resent } = message;
    if (message.isWrongKind)
      this.findings.find('wrongLink', `${name}, ${kind}: an answer of another kind`);
    if (answers > 1) this.findings.find('answeredTwice', `${name}: ${answers} times`);
    // MQTT 3.1.1 tells its device no connection id.
    if (resent !== undefined && !resent.endsWith(`${link.connection}:${message.id}`)) {
      this.findings.find('renamed', `${name} came again as ${resent}`);
    }
    if (kind === 'event' && answers > 0 && copies === 0) this.findings.find('lost', name);
    if (kind === 'request') this.#judgePublish(message, rules);
    if (answers > 0) this.#judgeAnswer(message, kind, rules);
    else this.#judgeSilence(message, kind, rules);
  }

  #judgePublish({ name, publishedAt, answeredAt, receivedAt }: Message, rules: Rules): void {
    const limit = Math.min(answeredAt, receivedAt + rules.requestMs + CLOCKS_MS);
    if (publishedAt > limit) {
      this.findings.find(
        'publishedLate',
        `${name}: ${Math.round(publishedAt - limit)} ms too late`,
      );
    }
  }

  #judgeAnswer(message: Message, kind: 'event' | 'request', rules: Rules): void {
    const { sentAt, receivedAt, answeredAt } = message;
    // Its deadline begins when it is read. Of one that no backend has seen we only know this much.
    const readAt = Number.isFinite(receivedAt) ? Math.max(sentAt, receivedAt) : sentAt;
    const lateMs = Math.round(answeredAt - dueAt(readAt, rules));
    const { counts } = this;
    counts.slowestMs = Math.max(counts.slowestMs, answeredAt - sentAt);
    if (kind === 'request' && lateMs > 0) {
      this.findings.find('unanswered', `${message.name}: answered ${lateMs} ms after it was due`);
    }
  }

  #judgeSilence({ name, link, sentAt }: Message, kind: 'event' | 'request', rules: Rules): void {
    const due = dueAt(sentAt, rules);
    if (Math.min(link.endedAt, rules.endedAt) < due) this.counts.cut += 1;
    else this.findings.find(kind === 'event' ? 'unacked' : 'unanswered', name);
  }

  /** Every message that was sent. */
  *timings(): Generator<Timing> {
    for (const { kind, sentAt, answeredAt, isOk } of this.#messages.values()) {
      if (kind === undefined) continue;
      yield { kind, at: sentAt, tookMs: isOk ? answeredAt - sentAt : Number.POSITIVE_INFINITY };
    }
  }

  /** Every message that was due, by time. */
  planned(): Planned[] {
    const planned: Planned[] = this.#skippedAt.map((at) => ({
      at,
      okAt: Number.POSITIVE_INFINITY,
    }));
    for (const message of this.#messages.values()) {
      const { kind, sentAt, answeredAt, isOk } = message;
      if (kind === undefined) continue;
      planned.push({ at: sentAt, okAt: isOk ? answeredAt : Number.POSITIVE_INFINITY });
    }
    return planned.sort((a, b) => a.at - b.at);
  }
}

/** When an answer must have come to what was read at `readAt`, or at the end of an outage then. */
export function dueAt(readAt: number, { requestMs, graceMs, outages }: Rules): number {
  let readBy = readAt;
  for (const { from, to } of outages) {
    if (from <= readAt + requestMs && to >= readAt) readBy = Math.max(readBy, to);
  }
  return readBy + requestMs + graceMs;
}
