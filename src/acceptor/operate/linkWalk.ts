/**
 * LinkWalk: every link of an acceptor, or every ended one, is looked at for a question of people,
 * some in a turn.
 * From: linkPages.ts, linkQuestions.ts, endedLinks.ts.  To: `visit`, a shard at a time; `step`.
 * Bound: TURN_MS of each turn of the event loop, whatever the number of links; one walk at a time,
 * and WAITING_MAX that wait for it: more are refused as `busy`, as nobody waits for them for long.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { SHARDS } from '../../base/limits.ts';
import { ChannelError } from '../../node/channel.ts';

const TURN_MS = 1;
const WAITING_MAX = 8;

export interface LinkWalkOptions {
  /** A walk that could not begin so long after it was asked for is not begun. */
  readonly lateMs: number;
  /** Fractions of ms count. */
  readonly now?: () => number;
}

export class LinkWalk {
  readonly #lateMs: number;
  readonly #now: () => number;
  #waiting = 0;
  #last: Promise<void> = Promise.resolve();

  constructor({ lateMs, now = () => performance.now() }: LinkWalkOptions) {
    this.#lateMs = lateMs;
    this.#now = now;
  }

  /** From shard `from` until `visit` says that it has enough. Rejects with a ChannelError. */
  shards(from: number, visit: (shard: number) => boolean): Promise<void> {
    let shard = from;
    return this.steps(() => {
      if (shard >= SHARDS || visit(shard)) return true;
      shard += 1;
      return false;
    });
  }

  /** The same of anything: until `step`, which is to be short, says that it has enough. */
  async steps(step: () => boolean): Promise<void> {
    if (this.#waiting >= WAITING_MAX) {
      throw new ChannelError('busy', 'too many look at all links at once');
    }
    const asked = this.#now();
    this.#waiting += 1;
    const before = this.#last;
    const walked = Promise.withResolvers<void>();
    this.#last = walked.promise;
    try {
      await before;
      if (this.#now() - asked > this.#lateMs) throw new ChannelError('late', 'others came first');
      await this.#walk(step);
    } finally {
      this.#waiting -= 1;
      walked.resolve();
    }
  }

  async #walk(step: () => boolean): Promise<void> {
    let begun = this.#now();
    while (!step()) {
      if (this.#now() - begun < TURN_MS) continue;
      await turn();
      begun = this.#now();
    }
  }
}
