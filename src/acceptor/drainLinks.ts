/**
 * DrainLinks: the two waits of an acceptor that ends: for messages in flight, and between BYEs.
 * From: acceptor.ts, after its last accept; operatorDrain.ts, which has the second pace too.
 * To: its links, one registry shard at a time.
 * Bound: a deadline for the first, `drainPaceMs` for the second.
 */
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import { systemClock } from '../base/clock.ts';
import { type Limits, SHARDS } from '../base/limits.ts';
import type { Endpoint } from './endpoint/endpoint.ts';
import type { Registry } from './endpoint/registry.ts';
import { byePaceMs, closeShard, hasOutboxBytes } from './endpoint/shards.ts';
import type { Spread } from './endpoint/spread.ts';

/** How often it checks whether everything in flight is done. */
const LOOK_MS = 20;

/** Until nothing is in flight and no outbox holds anything, or `deadlineMs` is over. */
export async function settled(
  registry: Registry<Endpoint>,
  isUnderWay: () => boolean,
  deadlineMs: number,
): Promise<void> {
  const end = systemClock.now() + deadlineMs;
  let shard = 0;
  while (systemClock.now() < end && shard < SHARDS) {
    // With nothing in flight no outbox can grow, so a shard that is done stays done.
    if (isUnderWay() || hasOutboxBytes(registry, shard)) {
      await pause(LOOK_MS);
    } else {
      shard += 1;
      await pause(0);
    }
  }
}

/** Over `paceMsMax` or less: a whole fleet must not come back at once. Ends once `isOver`. */
export async function pacedShards(
  registry: Pick<Registry<Endpoint>, 'size'>,
  paceMsMax: number,
  visit: (shard: number) => void,
  isOver: () => boolean = () => false,
): Promise<void> {
  const paceMs = byePaceMs(registry, paceMsMax);
  const begun = systemClock.now();
  for (let shard = 0; shard < SHARDS && !isOver(); shard += 1) {
    visit(shard);
    const early = begun + (paceMs * (shard + 1)) / SHARDS - systemClock.now();
    await (early > 1 ? pause(early) : turn());
  }
}

/** One shard at a time, over `drainPaceMs`. */
export async function sayBye(
  registry: Registry<Endpoint>,
  limits: Limits,
  spread: Spread,
): Promise<void> {
  const { drainPaceMs, drainRetryMs } = limits;
  const close = (shard: number) => {
    closeShard(registry, shard, 'draining', () => spread(drainRetryMs));
  };
  await pacedShards(registry, drainPaceMs, close);
  // Links accepted while BYEs were sent: their shard may have been done already.
  for (let shard = 0; shard < SHARDS; shard += 1) close(shard);
}
