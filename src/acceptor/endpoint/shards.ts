/**
 * Shards: what the acceptor asks of its links, or says to them, one shard of the registry at once.
 * From: the drain, the broker's loss, the stream to the registrar.  To: the links of that shard.
 * Bound: a call walks one shard, so no step's length is that of a whole fleet.
 */
import type { ByeReason } from '../../base/errors.ts';
import type { Endpoint } from './endpoint.ts';
import type { Registry } from './registry.ts';

/** Those that have said HELLO, and are this acceptor's until another one reads them. */
export function* openLinks(registry: Registry<Endpoint>, shard: number): Iterable<Endpoint> {
  for (const endpoint of registry.shard(shard)) {
    if (endpoint.state === 'open' || endpoint.state === 'moving') yield endpoint;
  }
}

/**
 * Does one of them still have bytes to be taken by its device? A drain asks shard by shard and
 * stays with the first that has, so that it never walks the whole fleet in one step.
 */
export function hasOutboxBytes(registry: Registry<Endpoint>, shard: number): boolean {
  for (const endpoint of registry.shard(shard)) {
    if (endpoint.outboxBytes > 0) return true;
  }
  return false;
}

/** BYEs take at most this long per link, so that few links do not wait long. */
const MS_PER_LINK = 1;

/** How long BYEs to all links take, in ms: `paceMsMax`, or less where there are few. */
export function byePaceMs({ size }: Pick<Registry<Endpoint>, 'size'>, paceMsMax: number): number {
  return Math.min(paceMsMax, size * MS_PER_LINK);
}

/** Say BYE to all of them. `retryAfter`, in ms, is asked for each. */
export function closeShard(
  registry: Registry<Endpoint>,
  shard: number,
  reason: ByeReason,
  retryAfter: () => number,
): void {
  for (const endpoint of registry.shard(shard)) endpoint.close(reason, retryAfter());
}
