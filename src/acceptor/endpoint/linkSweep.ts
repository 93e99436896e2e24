/**
 * LinkSweep: every link is looked at once in a round, for its keepalive and its outbox.
 * From: the acceptor's ticks, by endpoints.ts.  To: `sweep` of the links of the next shards.
 * Bound: SHARDS_PER_TICK shards of the registry in one tick, so that no tick's length is that of a
 * whole fleet.
 */
import { SHARDS, SHARDS_PER_TICK } from '../../base/limits.ts';
import type { Registered, Registry } from './registry.ts';

interface Swept extends Registered {
  /** `now`: monotonic ms. */
  sweep(now: number): void;
}

export class LinkSweep<E extends Swept> {
  readonly #registry: Registry<E>;
  #shard = 0;

  constructor(registry: Registry<E>) {
    this.#registry = registry;
  }

  tick(now: number): void {
    for (let swept = 0; swept < SHARDS_PER_TICK; swept += 1) {
      for (const endpoint of this.#registry.shard(this.#shard)) endpoint.sweep(now);
      this.#shard = (this.#shard + 1) % SHARDS;
    }
  }
}
