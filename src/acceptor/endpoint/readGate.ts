/**
 * ReadGate: when a link is read, and what has to give way first when it is not.
 * From: each Endpoint, before each of its messages, and when it is woken.
 * To: the same, which handles its next message or is paused; and who will wake it.
 * Bound: one gate for all links. What it knows of each is in the endpoint's own fields: an object
 * more for each would be memory that 200,000 idle links hold, and that each sweep reads.
 *
 *   read --an obstacle, or no room--> paused --wake, and nothing in the way--> read
 */
import type { Clock } from '../../base/clock.ts';
import type { Limits } from '../../base/limits.ts';
import type { Counters } from '../../base/metrics.ts';
import type { Allowance, MessageSize } from './allowance.ts';
import type { Overload } from './overload.ts';
import type { Rate } from './rate.ts';
import type { RoomWaiter } from './roomQueue.ts';
import type { RoomQueues } from './roomQueues.ts';
import type { PublishedType } from './routes.ts';

/** Why a link's next message is not handled now. */
export type Obstacle = 'over' | 'identity' | 'moving' | 'memory' | 'in-flight' | 'outbox' | 'rate';

/** A link, as far as its reading goes. */
export interface GatedLink extends RoomWaiter {
  readonly isLive: boolean;
  readonly state: string;
  readonly outboxBytes: number;
  readonly allowance: Allowance;
  /** A message of it was read, and waits for room; or its FIN was. */
  readonly isHolding: boolean;
  /** Since when it is paused, in the clock's ms; 0: it is read. */
  pausedAt: number;
  /** When bytes came last, moved on by the time spent paused. */
  heardAt: number;
  /** `wake` follows once its device has taken some of the outbox. */
  awaitOutbox(): void;
  /** Read on, only as far as it may hold what is not handled. */
  readAhead(): void;
}

export interface ReadGateOptions<L extends GatedLink> {
  readonly limits: Limits;
  readonly counters: Pick<Counters, 'pausedLinks'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly rate: Rate;
  readonly overload: Overload;
  /** All links hold too much together, and this one more than most: `wake` follows. */
  readonly heavy: { isGreedy(link: L): boolean };
  /** The link sends too much: `wake` follows a little later. */
  readonly deadlines: { throttle(link: L): void };
  readonly rooms: Pick<RoomQueues<L>, 'hasRoom' | 'add'>;
}

export class ReadGate<L extends GatedLink> {
  readonly #options: ReadGateOptions<L>;
  /** Links that are to get quiet, so that they can move: they send nothing new. */
  readonly #hushed = new Set<L>();

  constructor(options: ReadGateOptions<L>) {
    this.#options = options;
  }

  /** Why the next message may not be handled now. Each obstacle but 'over' brings a `wake`. */
  obstacle(link: L): Obstacle | undefined {
    const { limits, rate, clock, heavy } = this.#options;
    if (!link.isLive) return 'over';
    if (link.state === 'authenticating') return 'identity';
    if (this.#hushed.size > 0 && this.#isHushed(link)) return 'moving';
    if (heavy.isGreedy(link)) return 'memory';
    if (link.inFlight >= link.allowance.inFlightMax(limits)) return 'in-flight';
    if (link.outboxBytes >= limits.outboxSoftBytes) return 'outbox';
    return link.allowance.isAhead(rate, clock.now()) ? 'rate' : undefined;
  }

  /** What was read already is still handled. */
  #isHushed(link: L): boolean {
    return this.#hushed.has(link) && !link.isHolding;
  }

  /** Handle no new message of it, until it has moved or ended, or is to be read on. */
  hush(link: L): void {
    if (this.#hushed.has(link)) return;
    this.#hushed.add(link);
    this.#stop(link);
  }

  /** It is not to move any more. */
  unhush(link: L): void {
    if (this.#hushed.delete(link)) link.wake();
  }

  /** Has the broker room for its next message? If not, it waits in line, and is paused. */
  hasRoom(link: L, type: PublishedType): boolean {
    const { rooms } = this.#options;
    if (rooms.hasRoom(link, type)) return true;
    rooms.add(link, type);
    this.#stop(link);
    return false;
  }

  /** A message is handled: it counts for the link's rate. */
  pay(link: L, size: MessageSize): void {
    const { rate, overload, clock } = this.#options;
    link.allowance.pay(rate, overload, size, clock.now());
  }

  /**
   * `release` wakes from 'in-flight', `heavy` from 'memory', a verdict from 'identity', `unhush`
   * from 'moving'; the others are waited for here.
   */
  pause(link: L, obstacle: Exclude<Obstacle, 'over'>): void {
    if (obstacle === 'outbox') link.awaitOutbox();
    else if (obstacle === 'rate') this.#options.deadlines.throttle(link);
    this.#stop(link);
  }

  #stop(link: L): void {
    if (link.pausedAt !== 0) return;
    this.rest(link);
    link.readAhead();
  }

  /** It is paused, and not even read ahead; until `unpause`. */
  rest(link: L): void {
    const { clock, counters } = this.#options;
    link.pausedAt = clock.now();
    counters.pausedLinks += 1;
  }

  /** Something gave way. May a paused link be read on? Not if something else is in the way. */
  open(link: L): boolean {
    if (link.pausedAt === 0) return false;
    const obstacle = this.obstacle(link);
    if (obstacle === undefined) this.#resume(link);
    else if (obstacle !== 'over') this.pause(link, obstacle);
    return obstacle === undefined;
  }

  /** It has ended, or goes to another process, or has come from one. */
  unpause(link: L): void {
    this.#hushed.delete(link);
    this.#resume(link);
  }

  /** The device's silence does not count while nobody listened. */
  #resume(link: L): void {
    if (link.pausedAt === 0) return;
    const { clock, counters } = this.#options;
    link.heardAt += clock.now() - link.pausedAt;
    link.pausedAt = 0;
    counters.pausedLinks -= 1;
  }
}
