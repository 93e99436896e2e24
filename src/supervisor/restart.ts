/**
 * Restart: what to do when a child has ended, after OTP's supervisors. Pure.
 * From: restarts.ts, with each end that was seen.  To: a decision and the next state.
 * Bound: at most `restartsMax` restarts within any `windowMs`. The next end of an acceptor gives
 * up; a helper (registrar, observer) is restarted after longer and longer pauses.
 */
import type { Limits } from '../base/limits.ts';

/** `permanent` always comes back, `transient` after a crash only, `temporary` never. */
export type ChildKind = 'permanent' | 'transient' | 'temporary';

export interface Intensity {
  readonly restartsMax: number;
  readonly windowMs: number;
  readonly pauseMaxMs: number;
  /** Of a helper beyond its intensity. */
  readonly helperPauseMaxMs: number;
}

/** When restarts were granted, oldest first. Invariant: at most `restartsMax` times. */
export type RestartState = readonly number[];

export const NO_RESTARTS: RestartState = [];

export type Decision =
  | { readonly action: 'restart'; readonly afterMs: number; readonly state: RestartState }
  | { readonly action: 'leave'; readonly state: RestartState }
  | { readonly action: 'give-up'; readonly state: RestartState };

/** A helper's ends: registrar and observer have an intensity of their own. */
export interface HelperState {
  readonly granted: RestartState;
  /** How many ends in a row were beyond the intensity; 0: it is within. */
  readonly beyond: number;
}

export const NO_ENDS: HelperState = { granted: NO_RESTARTS, beyond: 0 };

const PAUSE_FIRST_MS = 50;
/** The first one of a helper beyond its intensity. */
const HELPER_PAUSE_FIRST_MS = 1_000;
const RESTARTS_BASE = 5;

/**
 * The intensity of a pool. One acceptor may crash 5 times in a window; as in ranch, a larger pool
 * gets the logarithm of its size more: it has more crashes, but not in proportion.
 */
export function intensityOf(limits: Limits, acceptors: number): Intensity {
  const grown = RESTARTS_BASE + Math.ceil(Math.log2(acceptors));
  return {
    restartsMax: limits.restartsMax === 0 ? grown : limits.restartsMax,
    windowMs: limits.restartWindowMs,
    pauseMaxMs: limits.restartPauseMaxMs,
    helperPauseMaxMs: limits.helperPauseMaxMs,
  };
}

/**
 * Decide about a child that ended at `now` (ms of a monotonic clock).
 * A restart granted exactly `windowMs` ago no longer counts.
 */
export function decide(
  state: RestartState,
  intensity: Intensity,
  end: { readonly kind: ChildKind; readonly isCrash: boolean },
  now: number,
): Decision {
  const recent = state.filter((at) => now - at < intensity.windowMs);
  const isWanted = end.kind === 'permanent' || (end.kind === 'transient' && end.isCrash);
  if (!isWanted) return { action: 'leave', state: recent };
  if (recent.length >= intensity.restartsMax) return { action: 'give-up', state: recent };
  return {
    action: 'restart',
    afterMs: pauseMs(recent.length, intensity),
    state: [...recent, now],
  };
}

/**
 * Decide about a helper that ended at `now` after `uptimeMs`: it is always restarted. One that is
 * beyond its intensity stays so until it has lived for a whole window.
 */
export function comeBack(
  { granted, beyond }: HelperState,
  intensity: Intensity,
  uptimeMs: number,
  now: number,
): { readonly afterMs: number; readonly state: HelperState } {
  const isWell = beyond === 0 || uptimeMs >= intensity.windowMs;
  const decision = decide(granted, intensity, { kind: 'permanent', isCrash: true }, now);
  if (isWell && decision.action === 'restart') {
    return { afterMs: decision.afterMs, state: { granted: decision.state, beyond: 0 } };
  }
  const doubled = HELPER_PAUSE_FIRST_MS * 2 ** Math.min(beyond, 20);
  const afterMs = Math.min(doubled, intensity.helperPauseMaxMs);
  // None is granted meanwhile: what is asked for here is no burst.
  return { afterMs, state: { granted: NO_RESTARTS, beyond: beyond + 1 } };
}

/**
 * The first restart of a window is immediate, then 50 ms, doubling. All pauses of a window together
 * stay within half of it: otherwise the pauses alone would keep a crash loop below its intensity.
 */
function pauseMs(restarts: number, { restartsMax, windowMs, pauseMaxMs }: Intensity): number {
  if (restarts === 0) return 0;
  const doubled = PAUSE_FIRST_MS * 2 ** Math.min(restarts - 1, 20);
  return Math.floor(Math.min(doubled, pauseMaxMs, windowMs / 2 / restartsMax));
}
