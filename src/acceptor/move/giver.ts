/**
 * Giver: the predecessor's side of a move: its links go to its successors, one by one, while their
 * devices notice nothing. By the rules of docs/presence-spec.md, "Moves".
 * From: the supervisor's order; the successors' words, by way of the supervisor; the acceptor's
 * ticks; endpoints that are to be closed while they are offered.
 * To: offers, go, cancel; endpoints: frozen, read on, let go of; presence and commands.
 * Bound: `window` offers at once; WALK_MAX links are looked at in one turn. Once all links were
 * looked at, which takes MS_PER_MOVE each at most, what is left after `moveMs` is drained over
 * `drainPaceMs`; the registrar is waited for `recordMs` at most.
 *
 *   here --offer--> offered --ready--> go: given
 *                      | --cancel--> cancelled, doomed --dropped--> here, or closed
 *                      '--dropped, or its successor's end is seen--> here
 */
import type { Clock } from '../../base/clock.ts';
import { SHARDS } from '../../base/limits.ts';
import type { Trace } from '../../base/trace.ts';
import { MS_PER_MOVE } from '../../node/drain.ts';
import type { MoveFigures, MoveMessage, MoveWord } from '../../node/ipc.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { Registry } from '../endpoint/registry.ts';
import { byePaceMs } from '../endpoint/shards.ts';
import { canMove, isQuiet, type OwedClose } from '../endpoint/snapshot.ts';
import type { SocketHandle } from '../endpoint/socket.ts';
import type { Spread } from '../endpoint/spread.ts';
import type { LinkChanges } from '../linkChanges.ts';
import type { DeviceCommands } from '../route/deviceCommands.ts';
import { Heirs } from './heirs.ts';
import { MovePace, type MovePaceOptions } from './movePace.ts';
import { encodeSnapshot } from './snapshotBytes.ts';

/** Some milliseconds' work. */
const WALK_MAX = 1_000;
/** When so many of its links have gone, it gives back what they took: of few that is little. */
const COLLECT_AT = [0.4, 0.75, 0.92];
const COLLECT_MIN = 1_000;

export type MoveOrder = Omit<MoveMessage, 'type'>;

export interface GiverOptions {
  readonly registry: Registry<Endpoint>;
  readonly clock: Pick<Clock, 'now'>;
  readonly after: MovePaceOptions['after'];
  readonly spread: Spread;
  readonly trace: Trace;
  readonly drainPaceMs: number;
  /** So long the registrar has to say that it knows of the moves. */
  readonly recordMs: number;
  readonly commands: Pick<DeviceCommands, 'openOf' | 'park' | 'unpark'>;
  readonly changes: Pick<LinkChanges, 'onGiven' | 'given' | 'successorGone'>;
  /** The stream to the registrar has something to send. */
  readonly wake: () => void;
  /** Sockets that are no link yet wait to be one. */
  readonly mayCome: () => boolean;
  /** By the supervisor to this successor. */
  readonly send: (to: string, word: MoveWord, handle?: SocketHandle) => void;
  /** None is left, and presence knows it. */
  readonly onMoved: (figures: MoveFigures) => void;
  /** Garbage, back to the system: some tens of milliseconds. */
  readonly collect: () => void;
}

/** cancelled: it is wanted back. doomed: the same, and closed then. */
interface Offer {
  readonly endpoint: Endpoint;
  readonly to: string;
  state: 'offered' | 'cancelled' | 'doomed';
}

/** recording: no link is left, and the registrar does not know all of it. */
type Phase = 'idle' | 'moving' | 'draining' | 'recording' | 'moved';

export class Giver {
  readonly #options: GiverOptions;
  #phase: Phase = 'idle';
  #order: MoveOrder | undefined;
  /** When this phase began. */
  #since = 0;
  #begunAt = 0;
  /** Links that had ended, or gone, before it began. */
  #before = 0;
  #moved = 0;
  #collectAt: readonly number[] = [];
  #drained = 0;
  readonly #offers = new Map<string, Offer>();
  /** Links that are not quiet, and since when that is known. */
  readonly #busy = new Map<Endpoint, number>();
  #heirs = new Heirs<Endpoint>([]);
  readonly #pace: MovePace;
  #walk: Iterator<Endpoint> | undefined;
  /** So long the first walk may take; undefined once it is over, and busy links are waited for. */
  #walkMs: number | undefined;
  /** Links that may still move, of this walk. */
  #later = 0;
  /** Shards that were told BYE, and over which time. */
  #shard = 0;
  #paceMs = 0;

  constructor(options: GiverOptions) {
    this.#options = options;
    this.#pace = new MovePace(options);
  }

  get phase(): Phase {
    return this.#phase;
  }

  get figures(): MoveFigures {
    const { size, ever } = this.#options.registry;
    const [moved, drained] = [this.#moved, this.#drained];
    // All others that were here, or came meanwhile, have ended for reasons of their own.
    const left = ever - size - this.#before - moved - drained;
    return { moved, drained, left, ms: Math.round(this.#options.clock.now() - this.#begunAt) };
  }

  /** Let all links go. One at a time: an order that comes meanwhile is no order. */
  begin(order: MoveOrder): boolean {
    if (this.#phase !== 'idle') return false;
    this.#order = order;
    this.#heirs = new Heirs(order.to);
    // The one before may have ended with offers that nobody answered.
    this.#pace.reset();
    this.#enter('moving');
    this.#begunAt = this.#since;
    const { size, ever } = this.#options.registry;
    this.#before = ever - size;
    this.#walkMs = size * MS_PER_MOVE;
    const shares = size < COLLECT_MIN ? [] : COLLECT_AT;
    this.#collectAt = shares.map((share) => Math.ceil(size * share));
    this.#moved = 0;
    this.#drained = 0;
    this.#pump();
    return true;
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#since = this.#options.clock.now();
  }

  tick(): void {
    if (this.#order === undefined) return;
    if (this.#phase === 'moving') this.#move(this.#order);
    else if (this.#phase === 'draining') this.#drain(this.#order);
    else if (this.#phase === 'recording') this.#record();
  }

  // Moving.

  #move(order: MoveOrder): void {
    const { clock } = this.#options;
    if (clock.now() - this.#since >= order.moveMs + (this.#walkMs ?? 0)) {
      this.#beginDrain();
      return;
    }
    for (const [endpoint, since] of [...this.#busy]) {
      if (this.#offers.size >= order.window) break;
      this.#lookAgain(endpoint, since, order);
    }
    this.#pump();
  }

  /** Go on with the walk, as far as the window allows. */
  #pump(): void {
    const order = this.#order;
    if (order === undefined || this.#phase !== 'moving' || !this.#pace.mayOffer) return;
    const begunAt = this.#options.clock.now();
    for (let left = WALK_MAX; left > 0 && this.#offers.size < order.window; left -= 1) {
      this.#walk ??= this.#allLinks();
      const next = this.#walk.next();
      if (next.done) {
        this.#walked();
        return;
      }
      this.#look(next.value);
    }
    if (this.#offers.size >= order.window) this.#pace.full(begunAt);
  }

  *#allLinks(): Generator<Endpoint, void> {
    this.#later = 0;
    const { registry } = this.#options;
    for (let shard = 0; shard < SHARDS; shard += 1) yield* registry.shard(shard);
  }

  /** The next tick walks again, if any link may still move, or come. */
  #walked(): void {
    this.#walk = undefined;
    if (this.#walkMs !== undefined) this.#since = this.#options.clock.now();
    this.#walkMs = undefined;
    const isOver = this.#later + this.#busy.size + this.#offers.size === 0;
    if (isOver && !this.#options.mayCome()) this.#beginDrain();
  }

  #look(endpoint: Endpoint): void {
    if (!canMove(endpoint) || !this.#heirs.canTake(endpoint)) return;
    if (endpoint.state === 'open') {
      if (!this.#busy.has(endpoint)) this.#offerNowOrLater(endpoint);
    } else if (endpoint.state !== 'moving') {
      // Its device has still to say who it is.
      this.#later += 1;
    }
  }

  #offerNowOrLater(endpoint: Endpoint): void {
    if (!this.#offer(endpoint)) this.#busy.set(endpoint, this.#options.clock.now());
  }

  #lookAgain(endpoint: Endpoint, since: number, { quietMs }: MoveOrder): void {
    const { clock, commands } = this.#options;
    if (endpoint.state !== 'open' || this.#offer(endpoint)) {
      this.#busy.delete(endpoint);
      return;
    }
    if (clock.now() - since < quietMs) return;
    commands.park(endpoint);
    // The answers to its commands have still to be read.
    if (commands.openOf(endpoint) === 0) endpoint.hush();
  }

  #offer(endpoint: Endpoint): boolean {
    const { commands, send, trace } = this.#options;
    if (!isQuiet(endpoint) || commands.openOf(endpoint) > 0) return false;
    const to = this.#heirs.next(endpoint);
    const frozen = to === undefined ? undefined : endpoint.freeze();
    if (to === undefined || frozen === undefined) return false;
    const { id: connection } = endpoint;
    commands.park(endpoint);
    this.#offers.set(connection, { endpoint, to, state: 'offered' });
    // tla: Presence!Offer
    trace('Offer', { connection });
    const snapshot = encodeSnapshot(frozen.snapshot).toString('base64');
    send(to, { what: 'offer', connection, snapshot }, frozen.handle);
    return true;
  }

  // From the successors.

  onWord(
    from: string,
    { what, connection }: { readonly what: 'ready' | 'dropped'; connection: string },
  ): void {
    const offer = this.#offers.get(connection);
    if (offer?.to !== from) return;
    if (what === 'ready') this.#onReady(connection, offer);
    else this.#onDropped(connection, offer);
    this.#goOn();
  }

  /** Its word is too late if the link is wanted back. */
  #onReady(connection: string, { endpoint, to, state }: Offer): void {
    if (state !== 'offered') return;
    const { changes, send, wake, trace } = this.#options;
    this.#offers.delete(connection);
    this.#moved += 1;
    // tla: Presence!Go
    trace('Go', { connection });
    // Commands that wait for it are looked at when it leaves: they find it there.
    changes.onGiven(endpoint, to);
    endpoint.leave();
    send(to, { what: 'go', connection });
    wake();
    if (this.#collectAt.includes(this.#moved)) this.#options.collect();
  }

  #onDropped(connection: string, { endpoint, to, state }: Offer): void {
    if (state === 'offered') this.#heirs.refuse(endpoint, to);
    this.#offers.delete(connection);
    // tla: Presence!ReadOn
    this.#options.trace('ReadOn', { connection });
    this.#readOn(endpoint);
    if (this.#phase === 'moving' && state === 'offered') this.#look(endpoint);
  }

  #readOn(endpoint: Endpoint): void {
    endpoint.thaw();
    this.#options.commands.unpark(endpoint);
  }

  /** The end of this successor was seen: what it has not, stays here, or goes to another one. */
  onGone(successor: string): void {
    const { trace, changes, wake } = this.#options;
    // tla: Presence!SuccessorGone
    trace('SuccessorGone', { of: successor });
    changes.successorGone(successor);
    wake();
    this.#heirs.remove(successor);
    if (this.#heirs.size === 0) {
      this.stop();
      return;
    }
    const offered = [...this.#offers].filter(([, { to }]) => to === successor);
    for (const [connection, { endpoint }] of offered) {
      this.#offers.delete(connection);
      this.#readOn(endpoint);
      if (this.#phase === 'moving') this.#look(endpoint);
    }
    this.#goOn();
  }

  /** Fewer are under way. */
  #goOn(): void {
    if (this.#offers.size === 0) this.#pace.answered(() => this.#pump());
    this.#pump();
  }

  /** This acceptor ends, and so does its successor: what is offered comes back, and ends here. */
  suspend(): void {
    if (this.#phase !== 'moving') return;
    this.#cancelAll();
    for (const endpoint of this.#busy.keys()) endpoint.hush(false);
    this.#busy.clear();
    this.#order = undefined;
  }

  /** Nobody passes anything on any more: what was not given is here. */
  stop(): void {
    const offered = [...this.#offers.values()];
    const busy = [...this.#busy.keys()];
    this.#offers.clear();
    this.#busy.clear();
    this.#walk = undefined;
    this.#order = undefined;
    this.#enter('idle');
    for (const { endpoint } of offered) this.#readOn(endpoint);
    for (const endpoint of busy) {
      endpoint.hush(false);
      this.#options.commands.unpark(endpoint);
    }
  }

  // Back.

  /** It is to be closed, and offered: it has to come back first. */
  readonly onOwed = (endpoint: Endpoint, reason: OwedClose['reason']): void => {
    const { id: connection } = endpoint;
    const isTakeover = reason === 'taken-over';
    const offer = this.#offers.get(connection);
    if (offer === undefined || offer.state === 'doomed') return;
    // tla: Presence!TakeOver
    if (isTakeover) this.#options.trace('Doom', { connection });
    if (offer.state === 'offered') this.#cancel(connection, offer.to, !isTakeover);
    offer.state = 'doomed';
  };

  #cancel(connection: string, to: string, isTraced = true): void {
    // tla: Presence!Cancel
    if (isTraced) this.#options.trace('Cancel', { connection });
    this.#options.send(to, { what: 'cancel', connection });
  }

  // The end.

  #beginDrain(): void {
    const { drainPaceMs, registry } = this.#options;
    this.#enter('draining');
    this.#shard = 0;
    this.#paceMs = byePaceMs(registry, drainPaceMs);
    for (const endpoint of this.#busy.keys()) this.#options.commands.unpark(endpoint);
    this.#busy.clear();
    this.#cancelAll();
    if (this.#order) this.#drain(this.#order);
  }

  #cancelAll(): void {
    for (const [connection, offer] of this.#offers) {
      if (offer.state !== 'offered') continue;
      offer.state = 'cancelled';
      this.#cancel(connection, offer.to);
    }
  }

  /** Shard by shard; what comes back, or came late, in the next round. */
  #drain(order: MoveOrder): void {
    const { clock, registry, mayCome } = this.#options;
    const share = this.#paceMs === 0 ? 1 : (clock.now() - this.#since) / this.#paceMs;
    for (; this.#shard < SHARDS && this.#shard <= share * SHARDS; this.#shard += 1) {
      for (const endpoint of registry.shard(this.#shard)) this.#sayBye(endpoint, order);
    }
    if (this.#shard < SHARDS) return;
    this.#shard = 0;
    if (registry.size > 0 || mayCome()) return;
    this.#enter('recording');
    this.#record();
  }

  #sayBye(endpoint: Endpoint, { retryMs }: MoveOrder): void {
    // One that is offered is closed when it is back.
    if (this.#offers.get(endpoint.id)?.state === 'doomed') return;
    this.#drained += 1;
    endpoint.close('draining', this.#options.spread(retryMs));
  }

  #record(): void {
    const { changes, clock, recordMs, onMoved } = this.#options;
    if (changes.given > 0 && clock.now() - this.#since < recordMs) return;
    this.#enter('moved');
    onMoved(this.figures);
  }
}
