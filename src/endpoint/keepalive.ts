/**
 * Keepalive: when a silent device is gone, and when Owsla must show that it is not. Pure.
 * From: the times an endpoint keeps.  To: the sweep, which closes or pings.
 * Bound: silence of KEEPALIVE_GRACE keepalives; a clock that stands still while Owsla itself does
 * not read, because then the device's frames may be waiting unread.
 */
import { KEEPALIVE_GRACE, type Limits } from '../limits.ts';

/** The keepalive that rules, in ms: the device's wish (seconds) within the limits. */
export function ruleKeepalive(wishSeconds: number | undefined, limits: Limits): number {
  if (wishSeconds === undefined || wishSeconds === 0) return limits.keepaliveMs;
  const wishMs = wishSeconds * 1_000;
  return Math.min(Math.max(wishMs, limits.keepaliveMinMs), limits.keepaliveMaxMs);
}

export interface KeepaliveTimes {
  readonly keepaliveMs: number;
  /** Last time bytes came, moved on by the time spent paused. */
  readonly heardAt: number;
  /** Since when Owsla does not read; 0 while it reads. */
  readonly pausedAt: number;
  /** Last PING of ours; 0 before the first. */
  readonly pingedAt: number;
}

export type KeepaliveVerdict = 'alive' | 'ping' | 'dead';

export function judgeKeepalive(times: KeepaliveTimes, now: number): KeepaliveVerdict {
  if (times.pausedAt === 0) {
    return now - times.heardAt > times.keepaliveMs * KEEPALIVE_GRACE ? 'dead' : 'alive';
  }
  const shownAt = Math.max(times.pausedAt, times.pingedAt);
  return now - shownAt >= times.keepaliveMs / 2 ? 'ping' : 'alive';
}
