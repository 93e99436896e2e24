/**
 * Alarms: what an operator must hear of before users do: raised and cleared, no flutter. Pure.
 * From: alarmFacts.ts, a look at the node at a time; the clock is handed in.
 * To: alarmWatch.ts: those that are raised, and what has changed with this look.
 * Bound: one state for each name of the list. Looks that are missing (a stopped observer, a machine
 * that slept) prove nothing: times begin anew behind a gap.
 *
 *   quiet --high--> rising --alarmRaiseMs--> raised --low--> falling --alarmClearMs--> quiet
 *     ^----not high----'                       ^----not low----'
 *
 * Each rule has two marks: at or above the upper one it is high, below the lower one low. What is
 * between them changes nothing.
 */
import { ALARMS, type AlarmName, type RaisedAlarm } from '../node/alarmNames.ts';
import type { AlarmFacts } from './alarmFacts.ts';
import { type Level, RULES } from './alarmRules.ts';

export interface AlarmTimes {
  readonly alarmRaiseMs: number;
  readonly alarmClearMs: number;
  /** The interval of looks: behind a longer gap nothing was seen meanwhile. */
  readonly reportMs: number;
}

export interface AlarmChange {
  readonly alarm: AlarmName;
  readonly what: 'raised' | 'cleared';
  readonly reason: string;
  /** How long it was raised, in ms; of a new one 0. */
  readonly afterMs: number;
}

interface State {
  phase: 'quiet' | 'rising' | 'raised' | 'falling';
  /** Since when, monotonic ms. */
  since: number;
  /** Of a raised one: monotonic ms, and ms since 1970. */
  upSince: number;
  raisedAt: number;
  reason: string;
}

/** After so many intervals without a look. */
const GAP_INTERVALS = 4;

export class Alarms {
  readonly #times: AlarmTimes;
  readonly #states: ReadonlyMap<AlarmName, State>;
  #lookedAt: number | undefined;

  constructor(times: AlarmTimes) {
    this.#times = times;
    this.#states = new Map(ALARMS.map((alarm) => [alarm, quietState()]));
  }

  /** `now`: monotonic ms; `wall`: ms since 1970. */
  look(facts: AlarmFacts, now: number, wall: number): AlarmChange[] {
    const isGap = this.#isGap(now);
    this.#lookedAt = now;
    const changes: AlarmChange[] = [];
    for (const [alarm, state] of this.#states) {
      const rule = RULES[alarm];
      if (isGap) state.since = now;
      const change = this.#step(state, rule.look(facts), rule.slow, now);
      if (change === 'raised') Object.assign(state, { upSince: now, raisedAt: wall });
      if (change === undefined) continue;
      const afterMs = change === 'raised' ? 0 : now - state.upSince;
      changes.push({ alarm, what: change, reason: state.reason, afterMs });
    }
    return changes;
  }

  #isGap(now: number): boolean {
    const { reportMs } = this.#times;
    return this.#lookedAt !== undefined && now - this.#lookedAt > GAP_INTERVALS * reportMs;
  }

  /** `slow`: how many times as long this alarm takes, both ways. */
  #step(state: State, level: Level, slow: number, now: number): AlarmChange['what'] | undefined {
    const { alarmRaiseMs, alarmClearMs } = this.#times;
    // What is low has no reason: the last one is told until it is cleared.
    if (level.mark !== 'low') state.reason = level.reason;
    const isUp = state.phase === 'raised' || state.phase === 'falling';
    const isTurning = isUp ? level.mark === 'low' : level.mark === 'high';
    if (!isTurning) {
      state.phase = isUp ? 'raised' : 'quiet';
      return undefined;
    }
    if (state.phase === 'quiet' || state.phase === 'raised') {
      state.phase = isUp ? 'falling' : 'rising';
      state.since = now;
    }
    if (now - state.since < slow * (isUp ? alarmClearMs : alarmRaiseMs)) return undefined;
    state.phase = isUp ? 'quiet' : 'raised';
    return isUp ? 'cleared' : 'raised';
  }

  /** Those that are raised, in the list's order. */
  raised(): RaisedAlarm[] {
    return [...this.#states].flatMap(([alarm, { phase, raisedAt, reason }]) =>
      phase === 'raised' || phase === 'falling' ? [{ alarm, raisedAt, reason }] : [],
    );
  }
}

function quietState(): State {
  return { phase: 'quiet', since: 0, upSince: 0, raisedAt: 0, reason: '' };
}
