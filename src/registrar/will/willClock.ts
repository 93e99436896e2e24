/**
 * WillClock: when wills are due whose links have ended, and that no acceptor knows of a later link.
 * From: the registrar's tick; wills.ts, when one begins to wait; acceptors, what they have told.
 * To: the store, which counts the time (livedTime.ts); acceptors, which are asked to tell all;
 * recorder.ts, which then publishes those that still wait.
 * Bound: one page of wills at a time, DUE_MAX; while an acceptor does not answer they wait. That
 * ends: one that is silent is killed, and one that has ended has no links.
 *
 *   idle --a will is due--> asking --each live acceptor has told all--> idle
 */
import type { Trace } from '../../base/trace.ts';
import type { DueWills, WillStore } from '../store/willRows.ts';

const DUE_MAX = 1_000;
/** After a page, or a fault: the store's time goes on only while it is used. */
const LOOK_AGAIN_MS = 200;
const NEVER = Number.POSITIVE_INFINITY;

export interface WillClockOptions {
  readonly store: Pick<WillStore, 'dueWills'>;
  /** ms of a monotonic clock. */
  readonly now: () => number;
  /** Acceptors that may have links. */
  readonly live: () => readonly string[];
  /** Ask this one; without a stream it is asked again when it has one. */
  readonly ask: (acceptor: string, mark: number) => void;
  /** These are to be published, unless their devices are back. */
  readonly onDue: (due: DueWills['due']) => void;
  readonly onFault: (error: unknown) => void;
  readonly trace: Trace;
}

interface Asking {
  readonly mark: number;
  readonly due: DueWills['due'];
  /** Who has not told all yet. */
  readonly untold: Set<string>;
}

export class WillClock {
  readonly #options: WillClockOptions;
  /** What an earlier process left may be due at once. */
  #lookAt = 0;
  #isLooking = false;
  #asking: Asking | undefined;
  #lastMark = 0;

  constructor(options: WillClockOptions) {
    this.#options = options;
  }

  /** A will waits so long from now on. */
  waits(ms: number): void {
    this.#lookAt = Math.min(this.#lookAt, this.#options.now() + ms);
  }

  /** Only while the store is open and can be read. */
  tick(): void {
    const { now } = this.#options;
    if (this.#asking) this.#check(this.#asking);
    else if (!this.#isLooking && now() >= this.#lookAt) void this.#look();
  }

  async #look(): Promise<void> {
    const { store, onFault } = this.#options;
    this.#isLooking = true;
    this.#lookAt = NEVER;
    try {
      const { due, nextMs = NEVER } = await store.dueWills(DUE_MAX);
      this.waits(nextMs);
      if (due.length > 0) this.#ask(due);
    } catch (error) {
      this.waits(LOOK_AGAIN_MS);
      onFault(error);
    } finally {
      this.#isLooking = false;
    }
  }

  #ask(due: DueWills['due']): void {
    const { live, ask, trace } = this.#options;
    this.#lastMark += 1;
    const mark = this.#lastMark;
    // tla: Will!Ask
    for (const { device, connection } of due) trace('Will!Ask', { device, connection, mark });
    this.#asking = { mark, due, untold: new Set(live()) };
    // Nobody says which there are before the supervisor has: then nobody can be asked either.
    if (this.#asking.untold.size === 0) this.#end([]);
    for (const acceptor of this.#asking?.untold ?? []) ask(acceptor, mark);
  }

  /** It has a stream now, and may have had none before. */
  onStream(acceptor: string): void {
    const asking = this.#asking;
    if (asking?.untold.has(acceptor)) this.#options.ask(acceptor, asking.mark);
  }

  /** What it told of links before that is on record. */
  allTold(acceptor: string, mark: number): void {
    const asking = this.#asking;
    if (asking?.mark !== mark) return;
    asking.untold.delete(acceptor);
    this.#check(asking);
  }

  #check(asking: Asking): void {
    const live = new Set(this.#options.live());
    for (const acceptor of asking.untold) if (!live.has(acceptor)) asking.untold.delete(acceptor);
    if (asking.untold.size === 0) this.#end(asking.due);
  }

  #end(due: DueWills['due']): void {
    this.#asking = undefined;
    this.waits(LOOK_AGAIN_MS);
    if (due.length > 0) this.#options.onDue(due);
  }
}
