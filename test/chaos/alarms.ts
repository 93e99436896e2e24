/**
 * Alarms of a chaos run: did each fault raise its own alarms and no others, and were they gone
 * after it? Pure.
 * From: what the node logged, and when each fault began and ended.
 * To: an AlarmCourse for each fault, and a sentence for what is wrong with it.
 * Bound: an alarm that a fault was too short for is not asked for; on a machine that others use,
 * only that all are gone.
 */
import type { Limits } from '../../src/base/limits.ts';
import type { AlarmName } from '../../src/node/alarmNames.ts';
import type { LogLine } from '../helpers/processes/server.ts';
import type { Span } from './books.ts';
import { isStarved } from './recovery.ts';

/** What a fault raises. */
interface Expected {
  /** One of these, if it lasts for `afterMs` and for as long as an alarm takes to be raised. */
  readonly must: readonly AlarmName[];
  readonly afterMs: number;
  /** Besides them: it depends on how long it lasts, or on what the broker does. */
  readonly may: readonly AlarmName[];
}

/** What is raised for a broker that owes confirms for so long: see acceptor/degraded.ts. */
const OWED_MS = 3_000;
/** Due to the machine and to what else it does, never to a fault; and they take their time. */
export const ANYWHERE: readonly string[] = ['loop-lagging', 'memory-high'];
/** Kept up by its rule after all is well: two minutes without a restart, and the time to clear. */
export const STANDS_MS: Partial<Readonly<Record<string, number>>> = { 'process-failing': 150_000 };
const LOST: Expected = { must: ['broker-away'], afterMs: 1_000, may: ['broker-blocking'] };
/** First it owes confirms, and after some heartbeats it is away. */
const SILENT: Expected = { must: ['broker-blocking', 'broker-away'], afterMs: OWED_MS, may: [] };
const OF_NODE: Expected = { must: [], afterMs: 0, may: ['broker-away', 'broker-blocking'] };
const NONE: Expected = { must: [], afterMs: 0, may: [] };

/** By the names of faults.ts; of all others none. */
function expectedOf(name: string, limits: AlarmLimits): Expected {
  // It has to be silent for three reports, and this alarm takes twice as long as others.
  const silent = 3 * limits.reportMs + limits.alarmRaiseMs;
  const table: Readonly<Record<string, Expected>> = {
    'kill -9 the broker, start it again': LOST,
    'SIGSTOP the broker': SILENT,
    'TCP to the broker cut without FIN': SILENT,
    'memory alarm at the broker': { must: ['broker-blocking'], afterMs: 1_000, may: [] },
    'SIGSTOP the registrar': { must: ['process-failing'], afterMs: silent, may: [] },
    // Several within two minutes; and who starts has no broker yet.
    'kill -9 an acceptor': { ...NONE, may: ['process-failing', 'broker-away'] },
    'kill -9 the registrar': { ...NONE, may: ['process-failing', 'broker-away'] },
    'kill -9 the whole node, start it again': { ...NONE, may: ['broker-away'] },
    'the cluster loses its first node': OF_NODE,
    'the cluster loses its second node': OF_NODE,
    'the cluster loses its third node': OF_NODE,
  };
  return table[name] ?? NONE;
}

type AlarmLimits = Pick<Limits, 'alarmRaiseMs' | 'reportMs'>;

/** What the node said of one of them. */
export interface AlarmWord {
  readonly at: number;
  readonly alarm: string;
  readonly what: 'raised' | 'cleared';
}

export interface AlarmCourse {
  /** Each once, in the order in which they came. */
  readonly raised: readonly string[];
  /** None of these was, and one had to be. */
  readonly missing: readonly string[];
  readonly strange: readonly string[];
  /** Raised before the next fault began, or the run ended, and not cleared. */
  readonly stuck: readonly string[];
}

export function alarmWordsOf(log: readonly LogLine[]): AlarmWord[] {
  return log
    .filter(({ msg }) => msg === 'alarm raised' || msg === 'alarm cleared')
    .map(({ msg, time, alarm }) => ({
      at: Date.parse(String(time)),
      alarm: String(alarm),
      what: msg === 'alarm raised' ? ('raised' as const) : ('cleared' as const),
    }))
    .sort((a, b) => a.at - b.at);
}

/**
 * `until`: the next fault began, or the run ended, as it did at `endedAt`. `foreign`: what others
 * had of the machine.
 */
export function alarmsOf(
  name: string,
  span: Span,
  around: {
    readonly words: readonly AlarmWord[];
    readonly limits: AlarmLimits;
    readonly until: number;
    readonly endedAt: number;
    readonly foreign: number;
  },
): AlarmCourse {
  const { words, limits, until, endedAt, foreign } = around;
  const own = words.filter(({ at }) => at >= span.from && at < until);
  const raised = [...new Set(own.flatMap((one) => (one.what === 'raised' ? one.alarm : [])))];
  const stuck = raised.filter((alarm) => {
    if (ANYWHERE.includes(alarm)) return false;
    const standsMs = STANDS_MS[alarm];
    const whole = standsMs === undefined ? own : words.filter(({ at }) => at >= span.from);
    const last = whole.findLast((one) => one.alarm === alarm);
    return last?.what === 'raised' && endedAt - last.at >= (standsMs ?? 0);
  });
  if (isStarved(foreign)) return { raised, missing: [], strange: [], stuck };
  const { must, afterMs, may } = expectedOf(name, limits);
  const allowed: readonly string[] = [...must, ...may, ...ANYWHERE];
  const strange = raised.filter((alarm) => !allowed.includes(alarm));
  // A report may be a second old, and so may the look at it.
  const neededMs = afterMs + limits.alarmRaiseMs + 3 * limits.reportMs + 500;
  const isMissing = must.length > 0 && span.to - span.from >= neededMs;
  const isThere = must.some((alarm) => raised.includes(alarm));
  return { raised, missing: isMissing && !isThere ? must : [], strange, stuck };
}

/** One sentence for each thing that is wrong. */
export function alarmFailures(name: string, { missing, strange, stuck }: AlarmCourse): string[] {
  return [
    ...(missing.length > 0 ? [`'${name}' raised no alarm ${missing.join(' or ')}`] : []),
    ...strange.map((alarm) => `'${name}' raised the alarm ${alarm}`),
    ...stuck.map((alarm) => `after '${name}' the alarm ${alarm} was not cleared`),
  ];
}
