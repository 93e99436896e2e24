/**
 * Registry: every link of one acceptor by its connection id, in 256 shards.
 * From: intake.ts registers, endpoints.ts unregisters.  To: downlink.ts and deviceCommands.ts find;
 * linkSweep.ts and shards.ts walk one shard, so that no step's length grows with the fleet.
 * Bound: `linksMax`, kept by intake.ts.
 */
import { SHARDS } from '../../base/limits.ts';

/** What the registry needs to know of an endpoint. */
export interface Registered {
  /** The connection id: a version-4 UUID in its 36-character text form. */
  readonly id: string;
}

const NO_SHARD = -1;

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  if (code >= 0x61 && code <= 0x66) return code - 0x57;
  return NO_SHARD;
}

/** The shard of a connection id: its first byte. -1 for text that is no lower-case UUID. */
export function shardOf(id: string): number {
  const high = hexDigit(id.charCodeAt(0));
  const low = hexDigit(id.charCodeAt(1));
  return high === NO_SHARD || low === NO_SHARD ? NO_SHARD : high * 16 + low;
}

export class Registry<E extends Registered> {
  readonly #shards: readonly Map<string, E>[] = Array.from({ length: SHARDS }, () => new Map());
  #size = 0;
  #ever = 0;

  get size(): number {
    return this.#size;
  }

  /** Links that were registered so far. */
  get ever(): number {
    return this.#ever;
  }

  /** Put `endpoint` under its id. Throws RangeError for an id that is no UUID or is taken. */
  register(endpoint: E): void {
    const shard = this.#shards[shardOf(endpoint.id)];
    if (shard === undefined || shard.has(endpoint.id)) {
      throw new RangeError(`connection id ${endpoint.id} is malformed or taken`);
    }
    shard.set(endpoint.id, endpoint);
    this.#size += 1;
    this.#ever += 1;
  }

  find(id: string): E | undefined {
    return this.#shards[shardOf(id)]?.get(id);
  }

  /** Forget `endpoint`, but only while it still owns its id. Returns false otherwise. */
  unregister(endpoint: E): boolean {
    const shard = this.#shards[shardOf(endpoint.id)];
    if (shard?.get(endpoint.id) !== endpoint) return false;
    shard.delete(endpoint.id);
    this.#size -= 1;
    return true;
  }

  /** The endpoints of one shard, 0 to 255. Safe to register and unregister while walking. */
  shard(index: number): Iterable<E> {
    return this.#shards[index % SHARDS]?.values() ?? [];
  }

  /** All of them: for what people cause, and nothing that happens by itself. */
  *all(): Iterable<E> {
    for (const shard of this.#shards) yield* shard.values();
  }
}
