/**
 * LinkChanges: what an acceptor has not yet reported to the registrar about its links. Pure.
 * From: links that open and end; streamClient.ts, which asks for messages when the stream takes
 * some.  To: messages, in an order that keeps rule 1 of docs/presence.md: state, then changes.
 * Bound: one entry per link that is open, or was when the registrar last read; never one per
 * change. A link that begins and ends between two reports is not reported at all. During a reload
 * also one per link that has moved away, or has come and ended: docs/presence-spec.md, "Moves".
 */
import type { CloseReason, PresenceReason } from '../base/errors.ts';
import { type Limits, SHARDS } from '../base/limits.ts';
import type { Counters } from '../base/metrics.ts';
import type { Trace } from '../base/trace.ts';
import type { ToRegistrar } from '../node/messages.ts';
import { type WillWord, willHash } from '../node/willWord.ts';
import type { Bequest, LinkWills } from './endpoint/linkWills.ts';

/** A link, as its endpoint knows it. */
export interface Link {
  /** The connection id. */
  readonly id: string;
  readonly deviceId: string;
  /** When it was accepted, in µs of the machine's own clock. */
  readonly acceptedUs: number;
  /** Set if it came from another process. */
  readonly before?: object | undefined;
}

/** A link that is over, or will be when it is told of: all that is to be said of it. */
type Told = Pick<Link, 'id' | 'deviceId' | 'acceptedUs'> & { readonly bequest?: Bequest };

export interface LinkChangesOptions {
  /** The open links of one registry shard. */
  readonly links: (shard: number) => Iterable<Link>;
  /** µs of the machine's own clock, and ms since 1970. */
  readonly clock: { us(): number; wall(): number };
  readonly trace: Trace;
  /** What its links have left to be published. */
  readonly wills: Pick<LinkWills, 'of'>;
  readonly limits: Pick<Limits, 'willEndsMax'>;
  readonly counters: Pick<Counters, 'willEndDrops'>;
}

/** What is not yet reported about one link, or about the hand-over itself. */
type Pending =
  | { readonly what: 'owed' | 'begun'; readonly link: Link }
  | Ended
  /** It came from a predecessor, and has ended: both are told. */
  | { readonly what: 'both'; readonly link: Told; readonly ended: Ended }
  | { readonly what: 'handed-over' }
  | { readonly what: 'all-told'; readonly mark: number }
  | { readonly what: 'will'; readonly device: string; readonly connection: string }
  | { readonly what: 'heir' };

interface Ended {
  readonly what: 'ended';
  readonly device: string;
  readonly reason: PresenceReason;
  readonly at: number;
  /** Its will; true: its device took that back by its goodbye. */
  readonly will?: WillWord | true;
}

/** The keys of what concerns no link, in the order of what is to be sent; no id is so short. */
const HAND_OVER_END = '';
const HEIR = 'heir';
const ALL_TOLD = 'all-told';
/** Ids in one message: some 40 kB. */
const MOVED_PIECE = 1_000;

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
  /** `begin` is the next to be sent. */
  #mayBegin = false;
  /** Links that a successor has, by id: until the registrar knows. */
  readonly #given = new Map<string, { readonly device: string; readonly to: string }>();
  /** Those of them that this hand-over has still to list. */
  #listing: Iterator<string> | undefined;
  /** Predecessors: while one lives, its links may be told of by it, too. */
  readonly #predecessors = new Map<string, 'here' | 'gone' | 'told'>();
  /** Links that came from one and have ended: told of by each hand-over, while one lives. */
  readonly #over = new Map<string, { readonly link: Told; readonly ended: Ended }>();
  /** Ends of links with a will: told by each hand-over until they are on record. */
  readonly #willed = new Map<string, Ended>();
  /** `all-told` is to be said, and may not be yet. */
  #mark: number | undefined;

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
    this.onTaken(link);
  }

  /** The same for one that has come from another process. */
  onTaken(link: Link): void {
    if (this.#isConnected) this.#pending.set(link.id, { what: 'begun', link });
  }

  onDown(link: Link, reason: CloseReason): void {
    // tla: Presence!End, Presence!TakeOver
    this.#options.trace('End', { connection: link.id, device: link.deviceId, reason });
    const { id, deviceId: device, acceptedUs } = link;
    const bequest = this.#options.wills.of(id);
    const will = bequest?.will && (reason === 'peer-bye' ? true : wordOf(bequest.will));
    const at = this.#options.clock.wall();
    const ended: Ended = { what: 'ended', device, reason, at, ...(will && { will }) };
    const isMovedIn = link.before !== undefined && this.#hasPredecessor;
    // A hand-over takes all that it says from the link: it is gone when that comes.
    const told = { id, deviceId: device, acceptedUs, ...(bequest && { bequest }) };
    if (isMovedIn) this.#over.set(id, { link: told, ended });
    const pending = this.#pending.get(id)?.what;
    // Nobody was told of one that has just begun here.
    if (will && (isMovedIn || pending !== 'begun')) this.#keepEnd(id, ended);
    if (!this.#isConnected) return;
    this.#pending.delete(id);
    const isUntold = pending === 'begun' || (pending === 'owed' && isMovedIn);
    if (!isUntold) this.#pending.set(id, ended);
    // Of others whose begin was not sent there is no need to send the end.
    else if (isMovedIn) this.#pending.set(id, { what: 'both', link: told, ended });
  }

  /** Who asks later is told again: a registrar that ends may have read it, and not recorded it. */
  #keepEnd(id: string, ended: Ended): void {
    this.#willed.set(id, ended);
    if (this.#willed.size <= this.#options.limits.willEndsMax) return;
    for (const oldest of this.#willed.keys()) {
      this.#willed.delete(oldest);
      this.#options.counters.willEndDrops += 1;
      return;
    }
  }

  /** The registrar has these ends on record. */
  onGone(connections: readonly string[]): void {
    for (const id of connections) this.#willed.delete(id);
  }

  /** Their wills are not known; those that are over by then have told theirs with their end. */
  onWanted(links: readonly (readonly [device: string, connection: string])[]): void {
    if (!this.#isConnected) return;
    for (const [device, connection] of links) {
      this.#pending.set(`will ${connection}`, { what: 'will', device, connection });
    }
  }

  /** `all-told` is to follow all that there is to tell now; the last mark counts. */
  tellAll(mark: number): void {
    if (!this.#isConnected) return;
    this.#mark = mark;
    this.#markWhenTold();
  }

  /** Not before the hand-over, nor while the successor may tell of a link later than this does. */
  #markWhenTold(): void {
    if (this.#mark === undefined || this.#shard < SHARDS || this.#given.size > 0) return;
    this.#pending.delete(ALL_TOLD);
    this.#pending.set(ALL_TOLD, { what: 'all-told', mark: this.#mark });
    this.#mark = undefined;
  }

  // Moves.

  /** This successor has it. */
  onGiven({ id, deviceId: device }: Link, to: string): void {
    this.#pending.delete(id);
    this.#given.set(id, { device, to });
  }

  /** The registrar knows who has them. */
  onRecorded(connections: readonly string[]): void {
    for (const id of connections) this.#given.delete(id);
    this.#markWhenTold();
    this.#tellHeir();
  }

  hasGiven(connection: string): boolean {
    return this.#given.has(connection);
  }

  /** Links that the registrar may still take for this acceptor's. */
  get given(): number {
    return this.#given.size;
  }

  /** This successor has ended, and with it all that was given to it. */
  successorGone(successor: string): void {
    const at = this.#options.clock.wall();
    for (const [id, { device, to }] of this.#given) {
      if (to !== successor) continue;
      this.#given.delete(id);
      if (!this.#isConnected) continue;
      this.#pending.set(id, { what: 'ended', device, reason: 'acceptor-ended', at });
    }
    this.#markWhenTold();
    this.#tellHeir();
  }

  /** Links come from this incarnation, too, from now on. */
  follows(predecessor: string): void {
    this.#predecessors.set(predecessor, 'here');
  }

  get #hasPredecessor(): boolean {
    return [...this.#predecessors.values()].includes('here');
  }

  /** Predecessors that have ended, of which this stream has not said that this was all. */
  get #gone(): string[] {
    return [...this.#predecessors].flatMap(([of, state]) => (state === 'gone' ? of : []));
  }

  /** It has ended, and all that was taken over from it is told of already, or pending. */
  predecessorGone(predecessor: string): void {
    if (this.#predecessors.get(predecessor) !== 'here') return;
    this.#predecessors.set(predecessor, 'gone');
    if (!this.#hasPredecessor) this.#over.clear();
    this.#tellHeir();
  }

  /**
   * Not while a link that was given on is not on record: it may be one of theirs, of which nobody
   * has told since.
   */
  #tellHeir(): void {
    const isHandedOver = this.#isConnected && this.#shard === SHARDS;
    if (!isHandedOver || this.#given.size > 0 || this.#gone.length === 0) return;
    this.#pending.set(HEIR, { what: 'heir' });
  }

  // The stream.

  /** The registrar listens, from now on: begin with everything there is. */
  connected(): void {
    // tla: Presence!Connect
    this.#options.trace('Connect', {});
    this.#isConnected = true;
    this.#mayBegin = true;
    this.#pending.clear();
    // Before their devices' later links: they are no takeovers.
    for (const [id, ended] of this.#willed) this.#pending.set(id, ended);
    this.#shard = 0;
    this.#mark = undefined;
    this.#listing = this.#given.keys();
    for (const [id, state] of this.#predecessors) {
      if (state === 'told') this.#predecessors.set(id, 'gone');
    }
  }

  /** The registrar does not read any more: the next one is sent everything again. */
  lost(): void {
    // tla: Presence!StreamLost
    if (this.#isConnected) this.#options.trace('StreamLost', {});
    this.#isConnected = false;
    this.#mayBegin = false;
    this.#pending.clear();
    this.#shard = SHARDS;
    this.#listing = undefined;
  }

  /** The next messages, at most `max` and a `begin`; they count as sent. */
  take(max: number): ToRegistrar[] {
    const messages: ToRegistrar[] = this.#mayBegin ? [['begin']] : [];
    this.#mayBegin = false;
    this.#owe(max);
    for (const [id, pending] of this.#pending) {
      if (messages.length >= max) break;
      const isListed = pending.what !== 'handed-over' || this.#list(messages);
      // In the next frame there are more of these, and only then the end.
      if (!isListed) break;
      this.#pending.delete(id);
      // Behind all that is to be told of links.
      if (pending.what === 'heir' && this.#pending.size > 0) this.#pending.set(HEIR, pending);
      else messages.push(...this.#messages(id, pending));
    }
    return messages;
  }

  /** The links that have moved, a piece at a time. True: there are no more. */
  #list(messages: ToRegistrar[]): boolean {
    const ids: string[] = [];
    while (ids.length < MOVED_PIECE) {
      const next = this.#listing?.next();
      if (next === undefined || next.done) break;
      ids.push(next.value);
    }
    if (ids.length > 0) messages.push(['moved', ids]);
    return ids.length < MOVED_PIECE;
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
      if (this.#shard < SHARDS) continue;
      for (const [id, { link, ended }] of this.#over) {
        this.#pending.set(id, { what: 'both', link, ended });
      }
      this.#pending.set(HAND_OVER_END, { what: 'handed-over' });
      this.#markWhenTold();
      this.#tellHeir();
    }
  }

  #messages(connection: string, pending: Pending): ToRegistrar[] {
    const { trace } = this.#options;
    switch (pending.what) {
      case 'handed-over':
        // tla: Presence!HandOverEnd
        trace('HandOverEnd', {});
        return [['end']];
      case 'all-told':
        // tla: Will!TellAll
        trace('Will!TellAll', { mark: pending.mark });
        return [['all-told', pending.mark]];
      case 'will':
        return this.#will(pending.device, pending.connection);
      case 'heir':
        return this.#heirs();
      case 'ended':
        return [this.#down(connection, pending)];
      case 'both':
        trace('WriteUp', { connection, device: pending.ended.device });
        return [this.#up(pending.link, true), this.#down(connection, pending.ended)];
      default: {
        const device = pending.link.deviceId;
        // tla: Presence!HandOver
        trace(pending.what === 'owed' ? 'HandOver' : 'WriteUp', { connection, device });
        return [this.#up(pending.link, pending.what === 'begun')];
      }
    }
  }

  /** Of which predecessors all has been told, on this stream. */
  #heirs(): ToRegistrar[] {
    if (this.#given.size > 0) return [];
    return this.#gone.map((of) => {
      this.#predecessors.set(of, 'told');
      // tla: Presence!TellHeir
      this.#options.trace('TellHeir', { of });
      return ['heir', of];
    });
  }

  #down(connection: string, { device, at, reason, will }: Ended): ToRegistrar {
    this.#options.trace('WriteDown', { connection, device });
    const down = ['down', device, connection, at, reason] as const;
    return will === undefined ? down : [...down, will];
  }

  #will(device: string, connection: string): ToRegistrar[] {
    const will = this.#options.wills.of(connection)?.will;
    // tla: Will!TellWill
    if (will) this.#options.trace('Will!TellWill', { device, connection });
    return will ? [['will', device, connection, wordOf(will)]] : [];
  }

  /** With its will whole, or with what names it. */
  #up(link: Told, isWhole: boolean): ToRegistrar {
    const { id, deviceId, acceptedUs } = link;
    const { clock, wills } = this.#options;
    const at = Math.round(clock.wall() - (clock.us() - acceptedUs) / 1_000);
    const up = ['up', deviceId, id, acceptedUs, at] as const;
    const { will, isCleanStart } = link.bequest ?? wills.of(id) ?? {};
    const word = will && wordOf(will);
    const said = word === undefined || isWhole ? (word ?? '') : willHash(word);
    if (isCleanStart) return [...up, said, true];
    return said === '' ? up : [...up, said];
  }
}

function wordOf({ topic, payload, delayMs, rules }: NonNullable<Bequest['will']>): WillWord {
  return [topic, payload, delayMs, rules ?? ''];
}
