/**
 * AlarmNames: what a node can raise an alarm about, and how a raised one is told.
 * From: alarms.ts of the observer.  To: status answers, health, metrics, the log; the runbook has a
 * section for each name.
 * Bound: this closed list; of each alarm one.
 */
export const ALARMS = [
  'broker-away',
  'broker-blocking',
  'prefix-taken',
  'store-degraded',
  'auth-away',
  'acceptor-full',
  'files-high',
  'memory-high',
  'loop-lagging',
  'links-skewed',
  'process-failing',
  'device-cloned',
  'device-flapping',
  'certificate-ending',
] as const;
export type AlarmName = (typeof ALARMS)[number];

export interface RaisedAlarm {
  readonly alarm: AlarmName;
  /** When it was raised, in ms since 1970. */
  readonly raisedAt: number;
  /** One sentence, as of now. */
  readonly reason: string;
}

/** What an alarm may be about that has a name: a device or a file. No metric names it. */
export interface Concern {
  readonly about: 'cloned' | 'flapping' | 'certificate' | 'revocations';
  readonly name: string;
  /** Takeovers; links begun; when it ends, in ms since 1970. */
  readonly figure: number;
}

/** A process names at most so many of one kind. */
export const CONCERNS_MAX = 16;
