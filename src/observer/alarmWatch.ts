/**
 * AlarmWatch: looks at the node at intervals, and tells which alarms are raised.
 * From: alarmFacts.ts, every `reportMs`.  To: nodeStatus.ts, which health, status and metrics read;
 * the log, one line when an alarm is raised and one when it is cleared.
 * Bound: those of alarms.ts.
 */
import type { Limits } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { Ticker } from '../base/ticker.ts';
import { FactsOfNode } from './alarmFacts.ts';
import { Alarms } from './alarms.ts';
import { lookAtMachine } from './machine.ts';
import type { NodeStatus } from './nodeStatus.ts';

export interface AlarmWatchOptions {
  readonly status: NodeStatus;
  readonly limits: Limits;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Monotonic ms; ms since 1970. */
  readonly now?: () => number;
  readonly wall?: () => number;
  readonly machine?: typeof lookAtMachine;
}

export class AlarmWatch {
  readonly #options: Required<AlarmWatchOptions>;
  readonly #alarms: Alarms;
  readonly #facts: FactsOfNode;
  readonly #ticker: Ticker;

  constructor(options: AlarmWatchOptions) {
    const now = () => performance.now();
    this.#options = { now, wall: Date.now, machine: lookAtMachine, ...options };
    this.#alarms = new Alarms(options.limits);
    this.#facts = new FactsOfNode(options.status, options.limits);
    this.#ticker = new Ticker(options.limits.reportMs, () => this.look());
  }

  start(): void {
    this.#ticker.start();
  }

  stop(): void {
    this.#ticker.stop();
  }

  look(): void {
    const { status, log, machine } = this.#options;
    const [now, wall] = [this.#options.now(), this.#options.wall()];
    const facts = this.#facts.at(now, wall, machine());
    if (facts === undefined) return;
    for (const { alarm, what, reason, afterMs } of this.#alarms.look(facts, now, wall)) {
      if (what === 'raised') log.warn({ alarm, reason }, 'alarm raised');
      else log.info({ alarm, reason, afterMs: Math.round(afterMs) }, 'alarm cleared');
    }
    status.onAlarms(this.#alarms.raised());
  }
}
