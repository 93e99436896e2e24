/**
 * Drain: how long a graceful end may take; one sum for the child and for its supervisor.
 * From: the limits.  To: child.ts, which cuts itself off, and children.ts, which then kills; each
 * role, which waits for nobody longer than it says.
 * Bound: the supervisor's deadline is END_MARGIN_MS behind the child's own.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Limits } from '../base/limits.ts';

/** Time beyond its limits that a drain gets before it is cut off. */
export const END_MARGIN_MS = 2_000;

/** So slowly quiet links may move, one after another, before nobody waits for the rest. */
export const MS_PER_MOVE = 2;

/** Wait for `work`, `ms` at most: it goes on, and nobody waits for it. */
export async function within(ms: number, work: Promise<unknown>): Promise<void> {
  await Promise.race([work, pause(ms, undefined, { ref: false })]);
}

/** The longest that a drain takes by the limits, in ms. */
export function drainTimeMs(limits: Limits): number {
  return limits.drainMs + limits.drainPaceMs + limits.lingerMs;
}
