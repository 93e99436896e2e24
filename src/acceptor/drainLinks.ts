/**
 * DrainLinks: the two waits of an acceptor that ends: for messages in flight, and between BYEs.
 * From: acceptor.ts, after its last accept.  To: the endpoints, one registry shard at a time.
 * Bound: a deadline for the first, `drainPaceMs` for the second.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { systemClock } from '../base/clock.ts';
import { type Limits, SHARDS } from '../base/limits.ts';
import type { Endpoints } from './endpoint/endpoints.ts';

/** How often it checks whether everything in flight is done. */
const LOOK_MS = 20;
/** BYEs take at least this long per link, so that few links do not wait long. */
const MS_PER_LINK = 1;

/** Until nothing is in flight and no outbox holds anything, or `deadlineMs` is over. */
export async function settled(
  endpoints: Endpoints,
  isUnderWay: () => boolean,
  deadlineMs: number,
): Promise<void> {
  const end = systemClock.now() + deadlineMs;
  let shard = 0;
  while (systemClock.now() < end && shard < SHARDS) {
    // With nothing in flight no outbox can grow, so a shard that is done stays done.
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
  // Links accepted while BYEs were sent: their shard may have been done already.
  for (let shard = 0; shard < SHARDS; shard += 1) {
    endpoints.closeShard(shard, 'draining', drainRetryMs);
  }
}
