/**
 * DrainLinks: the two waits of an acceptor that ends: for what is under way, and between BYEs.
 * From: acceptor.ts, when it takes no more links.  To: the endpoints, one registry shard at a time.
 * Bound: a deadline for the first, `drainPaceMs` for the second.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { systemClock } from '../base/clock.ts';
import { type Limits, SHARDS } from '../base/limits.ts';
import type { Endpoints } from './endpoint/endpoints.ts';

/** How often it looks whether everything under way is done. */
const LOOK_MS = 20;
/** BYEs take at least this long per link, so that few links do not wait long. */
const MS_PER_LINK = 1;

/** Until nothing is under way and no outbox holds anything, or `deadlineMs` is over. */
export async function settled(
  endpoints: Endpoints,
  isUnderWay: () => boolean,
  deadlineMs: number,
): Promise<void> {
  const end = systemClock.now() + deadlineMs;
  let shard = 0;
  while (systemClock.now() < end && shard < SHARDS) {
    // With nothing under way no outbox can grow, so a shard that is done stays done.
    if (isUnderWay() || endpoints.hasOutboxBytes(shard)) {
      await pause(LOOK_MS);
    } else {
      shard += 1;
      await pause(0);
    }
  }
}

/** One shard at a time, over `drainPaceMs`: a whole fleet must not come back at once. */
export async function sayBye(endpoints: Endpoints, limits: Limits): Promise<void> {
  const { drainPaceMs, drainRetryMs } = limits;
  const paceMs = Math.min(drainPaceMs, endpoints.registry.size * MS_PER_LINK);
  const begin = systemClock.now();
  for (let shard = 0; shard < SHARDS; shard += 1) {
    endpoints.closeShard(shard, 'draining', drainRetryMs);
    const early = begin + (paceMs * (shard + 1)) / SHARDS - systemClock.now();
    if (early > 1) await pause(early);
  }
  // Links accepted while the BYEs were said: their shard may have been past.
  for (let shard = 0; shard < SHARDS; shard += 1) {
    endpoints.closeShard(shard, 'draining', drainRetryMs);
  }
}
