/**
 * NodeStatus: the last figures of each acceptor and of the registrar, and of their ended processes.
 * Pure.
 * From: observer.ts, with reports and the supervisor's list of live processes.
 * To: exposition.ts and live.ts (totals that never fall), health and status answers, alarmFacts.ts.
 * Bound: one entry per process of the node, whatever the number of restarts.
 */
import type { Histogram } from '../base/histogram.ts';
import {
  acceptorMetrics,
  BACKEND_AUTH_METRICS,
  COMMAND_METRICS,
  type Counters,
  type MetricName,
  type MetricSpec,
  makeCounters,
  makeRegistrarCounters,
  PRESENCE_METRICS,
  type RegistrarCounters,
} from '../base/metrics.ts';
import type { RaisedAlarm } from '../node/alarmNames.ts';
import type { ChildState, NodeMessage } from '../node/ipc.ts';
import type { Degraded, ReportMessage } from '../node/report.ts';
import { MESSAGE_TYPES } from '../wire/message.ts';
import { RULES } from './alarmRules.ts';

export const METRIC_LIST = Object.entries(acceptorMetrics(MESSAGE_TYPES)) as readonly [
  MetricName,
  MetricSpec,
][];
export const PRESENCE_LIST = Object.entries(PRESENCE_METRICS) as SpecList;
export const BACKEND_AUTH_LIST = Object.entries(BACKEND_AUTH_METRICS) as SpecList;
export const COMMAND_LIST = Object.entries(COMMAND_METRICS) as SpecList;

/** A report counts as current for this many intervals. */
const FRESH_INTERVALS = 3;

/** Any process's figures: a number each, a number per label value, or a histogram. */
export type Figures = Record<string, number | Record<string, number> | Histogram>;
/** Totals only rise: counters and histograms. A gauge is as it is now. */
export type FigureKind = 'total' | 'gauge';
export type SpecList = readonly (readonly [string, MetricSpec])[];

interface Entry {
  readonly specs: SpecList;
  /** As the supervisor reports it. */
  state: ChildState;
  why: string | undefined;
  incarnation: string | undefined;
  /** Counters of ended incarnations; its gauges are 0. */
  readonly base: Figures;
  last: ReportMessage | undefined;
  reportedAt: number;
}

export interface Unready {
  readonly acceptor?: number;
  readonly reason: string;
}

export class NodeStatus {
  readonly #reportMs: number;
  readonly #entries = new Map<number, Entry>();
  readonly #registrar = makeEntry(
    [...PRESENCE_LIST, ...COMMAND_LIST, ...BACKEND_AUTH_LIST],
    makeRegistrarCounters(),
  );
  /** The registrar of this node has been ready once: it holds the claim of its prefix. */
  #isClaimed = false;
  #node: NodeMessage | undefined;
  #alarms: readonly RaisedAlarm[] = [];
  /** What devices notice of them. */
  #alarmed: readonly Degraded[] = [];
  #heardAt = Number.NEGATIVE_INFINITY;

  constructor(acceptors: number, reportMs: number) {
    this.#reportMs = reportMs;
    for (let index = 1; index <= acceptors; index += 1) {
      this.#entries.set(index, makeEntry(METRIC_LIST, makeCounters(MESSAGE_TYPES)));
    }
  }

  /** The supervisor's full list; the counters of a process that ended go into the base. */
  onNode(node: NodeMessage, now: number): void {
    this.#node = node;
    this.#heardAt = now;
    for (const { role, index, state, incarnation, why } of node.children) {
      const entry = role === 'registrar' ? this.#registrar : this.#entries.get(index);
      if (!entry || role === 'observer') continue;
      entry.state = state;
      entry.why = why;
      if (entry.incarnation === incarnation) continue;
      if (entry.last) mergeKind(entry, entry.base, entry.last.snapshot, 'total');
      entry.last = undefined;
      entry.reportedAt = Number.NEGATIVE_INFINITY;
      entry.incarnation = incarnation;
    }
  }

  /** Take a report if its incarnation is live according to the supervisor; else ignore it. */
  onReport(report: ReportMessage, now: number): void {
    const entry = report.index === 0 ? this.#registrar : this.#entries.get(report.index);
    if (!entry || entry.incarnation !== report.incarnation) return;
    if (entry === this.#registrar && report.notReady === undefined) this.#isClaimed = true;
    entry.last = report;
    entry.reportedAt = now;
  }

  /** Figures of each acceptor since the observer's start; gauges of a dead one are 0. */
  acceptors(): Map<number, Counters> {
    const figures = new Map<number, Counters>();
    for (const [index, entry] of this.#entries) figures.set(index, totalOf(entry) as Counters);
    return figures;
  }

  /** The registrar's figures, kept the same way; a missing registrar is degraded too. */
  registrar(now: number): RegistrarCounters {
    const total = totalOf(this.#registrar) as RegistrarCounters;
    return { ...total, degraded: this.#degraded(now).length > 0 ? 1 : 0 };
  }

  /** The supervisor's last word. */
  get node(): NodeMessage | undefined {
    return this.#node;
  }

  /** Those that are raised now, from alarmWatch.ts. */
  onAlarms(raised: readonly RaisedAlarm[]): void {
    this.#alarms = raised;
    this.#alarmed = raised.flatMap(({ alarm, reason }) => {
      const { part } = RULES[alarm];
      return part === undefined ? [] : [{ part, reason, cause: alarm }];
    });
  }

  get alarms(): readonly RaisedAlarm[] {
    return this.#alarms;
  }

  /** The last reports of processes that work, and have reported of late. */
  fresh(now: number): ReportMessage[] {
    return [...this.#entries.values(), this.#registrar].flatMap((entry) =>
      entry.last && this.#isFresh(entry, now) ? [entry.last] : [],
    );
  }

  restarts(): NodeMessage['restarts'] {
    return this.#node?.restarts ?? { acceptor: 0, registrar: 0, observer: 0 };
  }

  /** The supervisor has been heard within `silenceMs`. */
  isLive(now: number, silenceMs: number): boolean {
    return now - this.#heardAt <= silenceMs;
  }

  /** Everything that keeps the node from accepting links; empty when it is ready. */
  unready(now: number): Unready[] {
    if (!this.#node) return [{ reason: 'starting' }];
    if (this.#node.isStopping) return [{ reason: 'stopping' }];
    const unready: Unready[] = [];
    for (const [acceptor, entry] of this.#entries) {
      const { state, last } = entry;
      if (state !== 'ready') unready.push({ acceptor, reason: whyStarting(entry) ?? state });
      else if (!last || !this.#isFresh(entry, now)) unready.push({ acceptor, reason: 'no report' });
      else if (last.notReady !== undefined) unready.push({ acceptor, reason: last.notReady });
    }
    if (!this.#isClaimed)
      unready.push({ reason: this.#registrar.last?.notReady ?? 'no registrar' });
    return unready;
  }

  #isFresh({ reportedAt }: Entry, now: number): boolean {
    return now - reportedAt <= FRESH_INTERVALS * this.#reportMs;
  }

  /** Why the registrar does not work at all: it is missing, hangs, or reports so itself. */
  #registrarFault(now: number): Omit<Degraded, 'part'> | undefined {
    const { state, why, last } = this.#registrar;
    const because = why === undefined ? '' : `: ${why}`;
    const cause = 'process-failing';
    if (state !== 'ready') return { reason: `registrar ${state}${because}`, cause };
    if (!this.#isFresh(this.#registrar, now)) return { reason: 'no report', cause };
    return last?.notReady === undefined ? undefined : { reason: last.notReady };
  }

  /** What does not work although devices are served. */
  degraded(now: number): (Degraded & { readonly acceptor?: number })[] {
    return [...this.#degraded(now), ...this.#alarmed];
  }

  #degraded(now: number): (Degraded & { readonly acceptor?: number })[] {
    const { last } = this.#registrar;
    const fault = this.#registrarFault(now);
    const degraded =
      fault === undefined
        ? [...(last?.degraded ?? [])]
        : (['presence', 'commands'] as const).map((part) => ({ part, ...fault }));
    const ofAcceptors = [...this.#entries].flatMap(([acceptor, { last: report }]) =>
      (report?.degraded ?? []).map((one) => ({ acceptor, ...one })),
    );
    return [...degraded, ...ofAcceptors];
  }
}

function makeEntry(specs: SpecList, base: Figures): Entry {
  const reportedAt = Number.NEGATIVE_INFINITY;
  const none = { why: undefined, incarnation: undefined, last: undefined };
  return { specs, state: 'ended', base, reportedAt, ...none };
}

/** In its own words, of one that waits for others. */
function whyStarting({ state, last }: Entry): string | undefined {
  return state === 'starting' ? last?.notReady : undefined;
}

function totalOf(entry: Entry): Figures {
  const sum = structuredClone(entry.base);
  if (entry.last) mergeKind(entry, sum, entry.last.snapshot, 'total');
  if (entry.last) mergeKind(entry, sum, entry.last.snapshot, 'gauge');
  return sum;
}

/** Totals are added up, gauges are as they are now. */
function mergeKind({ specs }: Entry, into: Figures, from: Figures, kind: FigureKind) {
  merge(specs, into, from, kind, (a, b) => (kind === 'total' ? a + b : b));
}

/** A figure as its labelled values; one that has no label has the single value ''. */
export function valuesOf(figure: Readonly<Figures[string]>): [string, number][] {
  return typeof figure === 'number' ? [['', figure]] : Object.entries(figure);
}

/** Merge the figures of one kind into `into`. A report with figures missing adds nothing there. */
export function merge(
  specs: SpecList,
  into: Figures,
  from: Readonly<Figures>,
  kind: FigureKind,
  combine: (a: number, b: number, name: string) => number,
): void {
  for (const [name, spec] of specs) {
    const mine = into[name];
    const theirs = from[name];
    if ((spec.kind === 'gauge') !== (kind === 'gauge')) continue;
    if (mine === undefined || theirs === undefined) continue;
    if (typeof mine === 'number') into[name] = combine(mine, Number(theirs), name);
    else if (Array.isArray(mine)) addHistogram(mine, theirs);
    else {
      for (const [label, value] of valuesOf(theirs)) {
        mine[label] = combine(mine[label] ?? 0, value, name);
      }
    }
  }
}

function addHistogram(into: Histogram, from: Readonly<Figures[string]>): void {
  if (!Array.isArray(from)) return;
  for (const [at, value] of from.entries())
    if (at < into.length) into[at] = (into[at] ?? 0) + value;
}
