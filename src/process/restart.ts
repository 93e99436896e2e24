/**
 * Restart: what to do when a child has ended, after OTP's supervisors. Pure.
 * From: supervisor.ts, with each end that it has seen.  To: a decision and the next state.
 * Bound: at most `restartsMax` restarts within any `windowMs`; the next end gives up.
 */
import type { Limits } from '../limits.ts';

/** `permanent` always comes back, `transient` after a crash only, `temporary` never. */
export type ChildKind = 'permanent' | 'transient' | 'temporary';

export interface Intensity {
  readonly restartsMax: number;
  readonly windowMs: number;
  readonly pauseMaxMs: number;
}

/** When restarts were granted, oldest first. Invariant: at most `restartsMax` times. */
export type RestartState = readonly number[];

export const NO_RESTARTS: RestartState = [];

export type Decision =
  | { readonly action: 'restart'; readonly afterMs: number; readonly state: RestartState }
  | { readonly action: 'leave'; readonly state: RestartState }
  | { readonly action: 'give-up'; readonly state: RestartState };

const PAUSE_FIRST_MS = 50;
const RESTARTS_BASE = 5;

/**
 * The intensity of a pool. One acceptor may crash 5 times in a window; as in ranch, a larger pool
 * gets the logarithm of its size more: it meets more bad luck, but not in proportion.
 */
export function intensityOf(limits: Limits, acceptors: number): Intensity {
  const grown = RESTARTS_BASE + Math.ceil(Math.log2(acceptors));
  return {
    restartsMax: limits.restartsMax === 0 ? grown : limits.restartsMax,
    windowMs: limits.restartWindowMs,
    pauseMaxMs: limits.restartPauseMaxMs,
  };
}

/**
 * Decide about a child that ended at `now` (ms of a clock that never goes back).
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
 * The first restart of a window is immediate, then 50 ms, doubling. All pauses of a window together
 * stay within half of it: the pauses alone would else keep a crash loop below its intensity.
 */
function pauseMs(restarts: number, { restartsMax, windowMs, pauseMaxMs }: Intensity): number {
  if (restarts === 0) return 0;
  const doubled = PAUSE_FIRST_MS * 2 ** Math.min(restarts - 1, 20);
  return Math.floor(Math.min(doubled, pauseMaxMs, windowMs / 2 / restartsMax));
}
