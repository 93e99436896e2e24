/**
 * Ledger: the last figures of each acceptor, and those of its ended processes. Pure.
 * From: observer.ts, with reports and the supervisor's word on who is alive.
 * To: exposition.ts (totals that never fall) and the health answers.
 * Bound: one entry per acceptor, whatever the number of restarts.
 */
import type { ChildState, NodeMessage } from '../process/ipc.ts';
import {
  type Counters,
  METRICS,
  type MetricName,
  type MetricSpec,
  makeCounters,
} from './metrics.ts';
import type { ReportMessage } from './report.ts';

/** A report counts as current for this many intervals. */
const FRESH_INTERVALS = 3;

interface Entry {
  /** What the supervisor says. */
  state: ChildState;
  incarnation: string | undefined;
  /** Counters of ended incarnations; its gauges are 0. */
  readonly base: Counters;
  last: ReportMessage | undefined;
  reportedAt: number;
}

export interface Unready {
  readonly acceptor?: number;
  readonly reason: string;
}

export class Ledger {
  readonly #reportMs: number;
  readonly #entries = new Map<number, Entry>();
  #node: NodeMessage | undefined;
  #heardAt = Number.NEGATIVE_INFINITY;

  constructor(acceptors: number, reportMs: number) {
    this.#reportMs = reportMs;
    for (let index = 1; index <= acceptors; index += 1) {
      this.#entries.set(index, {
        state: 'ended',
        incarnation: undefined,
        base: makeCounters(),
        last: undefined,
        reportedAt: Number.NEGATIVE_INFINITY,
      });
    }
  }

  /** The supervisor's whole word; what a lost process had counted goes into the base. */
  onNode(node: NodeMessage, now: number): void {
    this.#node = node;
    this.#heardAt = now;
    for (const { role, index, state, incarnation } of node.children) {
      const entry = role === 'acceptor' ? this.#entries.get(index) : undefined;
      if (!entry) continue;
      entry.state = state;
      if (entry.incarnation === incarnation) continue;
      if (entry.last) addCounters(entry.base, entry.last.snapshot);
      entry.last = undefined;
      entry.incarnation = incarnation;
    }
  }

  /** Take a report, if the supervisor says that its incarnation lives; else it is ignored. */
  onReport(report: ReportMessage, now: number): void {
    const entry = this.#entries.get(report.index);
    if (!entry || entry.incarnation !== report.incarnation) return;
    entry.last = report;
    entry.reportedAt = now;
  }

  /** Figures of each acceptor since the observer's start; gauges of a dead one are 0. */
  acceptors(): Map<number, Counters> {
    const figures = new Map<number, Counters>();
    for (const [index, { base, last }] of this.#entries) {
      const sum = structuredClone(base);
      if (last) addCounters(sum, last.snapshot);
      if (last) copyGauges(sum, last.snapshot);
      figures.set(index, sum);
    }
    return figures;
  }

  restarts(): NodeMessage['restarts'] {
    return this.#node?.restarts ?? { acceptor: 0, observer: 0 };
  }

  /** The supervisor has been heard within `silenceMs`. */
  isLive(now: number, silenceMs: number): boolean {
    return now - this.#heardAt <= silenceMs;
  }

  /** Everything that keeps the node from taking links; empty when it is ready. */
  unready(now: number): Unready[] {
    if (!this.#node) return [{ reason: 'starting' }];
    if (this.#node.isStopping) return [{ reason: 'stopping' }];
    const unready: Unready[] = [];
    for (const [acceptor, { state, last, reportedAt }] of this.#entries) {
      const isFresh = now - reportedAt <= FRESH_INTERVALS * this.#reportMs;
      if (state !== 'ready') unready.push({ acceptor, reason: state });
      else if (!last || !isFresh) unready.push({ acceptor, reason: 'no report' });
      else if (last.notReady !== undefined) unready.push({ acceptor, reason: last.notReady });
    }
    return unready;
  }
}

export const METRIC_LIST = Object.entries(METRICS) as readonly [MetricName, MetricSpec][];

/** A figure as its labelled values; one that has no label has the single value ''. */
export function valuesOf(figure: number | Readonly<Record<string, number>>): [string, number][] {
  return typeof figure === 'number' ? [['', figure]] : Object.entries(figure);
}

function addCounters(sum: Counters, more: Readonly<Counters>): void {
  merge(sum, more, 'counter', (a, b) => a + b);
}

function copyGauges(to: Counters, from: Readonly<Counters>): void {
  merge(to, from, 'gauge', (_, b) => b);
}

/** Merge the figures of one kind into `into`. A report with figures missing adds nothing there. */
export function merge(
  into: Counters,
  from: Readonly<Counters>,
  kind: MetricSpec['kind'],
  combine: (a: number, b: number, name: MetricName) => number,
): void {
  const target = into as Record<MetricName, number | Record<string, number>>;
  for (const [name, spec] of METRIC_LIST) {
    if (spec.kind !== kind || from[name] === undefined) continue;
    const mine = target[name];
    if (typeof mine === 'number') {
      target[name] = combine(mine, Number(from[name]), name);
      continue;
    }
    for (const [label, value] of valuesOf(from[name])) {
      mine[label] = combine(mine[label] ?? 0, value, name);
    }
  }
}
