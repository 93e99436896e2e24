/**
 * Keepalive: when a silent device is gone, and when Owsla must show that it is not. Pure.
 * From: the times an endpoint keeps.  To: the sweep, which closes or pings.
 * Bound: silence of KEEPALIVE_GRACE keepalives; a clock that stands still while Owsla itself does
 * not read, because then the device's frames may be waiting unread.
 */
import { KEEPALIVE_GRACE, type Limits } from '../../base/limits.ts';

/**
 * The keepalive that rules, in ms: the device's wish (seconds) within the limits. Whole seconds,
 * rounded up, as WELCOME tells it in these and what it tells is what the device may rely on.
 */
export function ruleKeepalive(
  wishSeconds: number | undefined,
  limits: Limits,
  isFixed = false,
): number {
  const { keepaliveMs, keepaliveMinMs, keepaliveMaxMs } = limits;
  // It cannot be told of another one: what it does not keep to would end its link.
  if (isFixed) return Math.min((wishSeconds ?? 0) * 1_000 || keepaliveMaxMs, keepaliveMaxMs);
  // 0 is no wish.
  const wishMs = (wishSeconds || keepaliveMs / 1_000) * 1_000;
  return Math.ceil(Math.min(Math.max(wishMs, keepaliveMinMs), keepaliveMaxMs) / 1_000) * 1_000;
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

/** `quiet`: some devices have to be asked whether they are there. */
export type KeepaliveVerdict = 'alive' | 'quiet' | 'ping' | 'dead';

export function keepaliveVerdict(times: KeepaliveTimes, now: number): KeepaliveVerdict {
  if (times.pausedAt === 0) {
    const silentMs = now - times.heardAt;
    if (silentMs > times.keepaliveMs * KEEPALIVE_GRACE) return 'dead';
    const isAsked = times.pingedAt > times.heardAt;
    return silentMs >= times.keepaliveMs && !isAsked ? 'quiet' : 'alive';
  }
  const shownAt = Math.max(times.pausedAt, times.pingedAt);
  return now - shownAt >= times.keepaliveMs / 2 ? 'ping' : 'alive';
}
