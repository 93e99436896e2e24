/**
 * Drain: how long a graceful end may take; one sum for the child and for its supervisor.
 * From: the limits.  To: child.ts, which cuts itself off, and supervisor.ts, which then kills.
 * Bound: the supervisor's deadline is END_MARGIN_MS behind the child's own.
 */
import type { Limits } from '../base/limits.ts';

/** Time beyond its limits that a drain gets before it is cut off. */
export const END_MARGIN_MS = 2_000;

/** The longest that a drain takes by the limits, in ms. */
export function drainTimeMs(limits: Limits): number {
  return limits.drainMs + limits.drainPaceMs + limits.lingerMs;
}
