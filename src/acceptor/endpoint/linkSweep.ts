/**
 * LinkSweep: every link is looked at once in a round, for its keepalive and its outbox.
 * From: the acceptor's ticks, by endpoints.ts.  To: `sweep` of the links of the next shards.
 * Bound: SHARDS_PER_TICK shards of the registry in one tick, so that no tick's length is that of a
 * whole fleet.
 */
import { SHARDS, SHARDS_PER_TICK } from '../../base/limits.ts';
import type { Registered, Registry } from './registry.ts';

interface Swept extends Registered {
  /** `now`: monotonic ms; `ms`: since the last round. */
  sweep(now: number, ms: number): void;
}

export class LinkSweep<E extends Swept> {
  readonly #registry: Registry<E>;
  #shard = 0;
  /** When each shard was swept last; 0 before that. */
  readonly #sweptAt = new Float64Array(SHARDS);

  constructor(registry: Registry<E>) {
    this.#registry = registry;
  }

  tick(now: number): void {
    for (let swept = 0; swept < SHARDS_PER_TICK; swept += 1) {
      const ms = Math.max(1, now - (this.#sweptAt[this.#shard] ?? 0));
      for (const endpoint of this.#registry.shard(this.#shard)) endpoint.sweep(now, ms);
      this.#sweptAt[this.#shard] = now;
      this.#shard = (this.#shard + 1) % SHARDS;
    }
  }
}
