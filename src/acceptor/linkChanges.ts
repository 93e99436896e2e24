/**
 * LinkChanges: what an acceptor has not yet reported to the registrar about its links. Pure.
 * From: links that open and end; streamClient.ts, which asks for messages when the stream takes
 * some.  To: messages, in an order that keeps rule 1 of docs/presence.md: state, then changes.
 * Bound: one entry per link that is open, or was when the registrar last read; never one per
 * change. A link that begins and ends between two reports is not reported at all.
 */
import type { CloseReason } from '../base/errors.ts';
import { SHARDS } from '../base/limits.ts';
import type { Trace } from '../base/trace.ts';
import type { ToRegistrar } from '../node/messages.ts';

/** A link, as its endpoint knows it. */
export interface Link {
  /** The connection id. */
  readonly id: string;
  readonly deviceId: string;
  /** When it was accepted, in µs of the machine's own clock. */
  readonly acceptedUs: number;
}

export interface LinkChangesOptions {
  /** The open links of one registry shard. */
  readonly links: (shard: number) => Iterable<Link>;
  /** µs of the machine's own clock, and ms since 1970. */
  readonly clock: { us(): number; wall(): number };
  readonly trace: Trace;
}

/** What is not yet reported about one link, or about the hand-over itself. */
type Pending =
  | { readonly what: 'owed' | 'begun'; readonly link: Link }
  | { readonly what: 'ended'; readonly device: string; readonly reason: CloseReason; at: number }
  | { readonly what: 'handed-over' };

/** The key of the end of the hand-over, in the order of what is to be sent; no id is empty. */
const HAND_OVER_END = '';

export class LinkChanges {
  readonly #options: LinkChangesOptions;
  /**
   * By connection id, in the order of sending. Invariant while connected: a live link is here, or
   * was sent, or is in a shard from `#shard` on.
   */
  readonly #pending = new Map<string, Pending>();
  /** The next shard to be handed over; SHARDS when all are. */
  #shard: number = SHARDS;
  #isConnected = false;

  constructor(options: LinkChangesOptions) {
    this.#options = options;
  }

  /** Nothing is left to tell. */
  get isDone(): boolean {
    return this.#pending.size === 0 && this.#shard === SHARDS;
  }

  /** For the metrics. */
  get size(): number {
    return this.#pending.size;
  }

  onUp(link: Link): void {
    const { id: connection, deviceId: device, acceptedUs } = link;
    // tla: Presence!Accept
    this.#options.trace('Accept', { connection, device, acceptedUs });
    if (this.#isConnected) this.#pending.set(link.id, { what: 'begun', link });
  }

  onDown({ id, deviceId: device }: Link, reason: CloseReason): void {
    // tla: Presence!End, Presence!TakeOver
    this.#options.trace('End', { connection: id, device, reason });
    if (!this.#isConnected) return;
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    // Its begin was not sent: no need to send its end.
    if (pending?.what === 'begun') return;
    this.#pending.set(id, { what: 'ended', device, reason, at: this.#options.clock.wall() });
  }

  /** The registrar listens, from now on: begin with everything there is. */
  connected(): void {
    // tla: Presence!Connect
    this.#options.trace('Connect', {});
    this.#isConnected = true;
    this.#pending.clear();
    this.#shard = 0;
  }

  /** The registrar does not read any more: the next one is sent everything again. */
  lost(): void {
    // tla: Presence!StreamLost
    if (this.#isConnected) this.#options.trace('StreamLost', {});
    this.#isConnected = false;
    this.#pending.clear();
    this.#shard = SHARDS;
  }

  /** The next messages, at most `max` and a `begin`; they count as sent. */
  take(max: number): ToRegistrar[] {
    const messages: ToRegistrar[] = this.#isConnected && this.#shard === 0 ? [['begin']] : [];
    this.#owe(max);
    for (const [id, pending] of this.#pending) {
      if (messages.length >= max) break;
      this.#pending.delete(id);
      messages.push(this.#message(id, pending));
    }
    return messages;
  }

  /** Shard by shard, as the registrar takes them: no step's length grows with the fleet. */
  #owe(max: number): void {
    if (!this.#isConnected) return;
    while (this.#shard < SHARDS && this.#pending.size < max) {
      for (const link of this.#options.links(this.#shard)) {
        // One that began since the connect is here already, or was sent.
        if (!this.#pending.has(link.id)) this.#pending.set(link.id, { what: 'owed', link });
      }
      this.#shard += 1;
      if (this.#shard === SHARDS) this.#pending.set(HAND_OVER_END, { what: 'handed-over' });
    }
  }

  #message(connection: string, pending: Pending): ToRegistrar {
    const { trace, clock } = this.#options;
    if (pending.what === 'handed-over') {
      // tla: Presence!HandOverEnd
      trace('HandOverEnd', {});
      return ['end'];
    }
    if (pending.what === 'ended') {
      const { device, at, reason } = pending;
      trace('WriteDown', { connection, device });
      return ['down', device, connection, at, reason];
    }
    const { acceptedUs, deviceId: device } = pending.link;
    // tla: Presence!HandOver
    trace(pending.what === 'owed' ? 'HandOver' : 'WriteUp', { connection, device });
    const at = Math.round(clock.wall() - (clock.us() - acceptedUs) / 1_000);
    return ['up', device, connection, acceptedUs, at];
  }
}
