/**
 * NodeStatus: the last figures of each acceptor and of the registrar, and of their ended processes.
 * Pure.
 * From: observer.ts, with reports and the supervisor's list of live processes.
 * To: exposition.ts and live.ts (totals that never fall), health and status answers, alarmFacts.ts.
 * Bound: one entry per process of the node, whatever the number of restarts; in a reload one more.
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
  /** The one that takes new links. */
  incarnation: string | undefined;
  /** Counters of ended incarnations; its gauges are 0. */
  readonly base: Figures;
  /** By incarnation. In a reload there are two: links move from one to the other. */
  readonly lives: Map<string, Life>;
}

interface Life {
  last: ReportMessage | undefined;
  reportedAt: number;
}

export interface Unready {
  readonly acceptor?: number;
  readonly reason: string;
}

/** Totals of processes that are no more. */
export interface EndedTotals {
  /** By the number of an acceptor; 0: the registrar. */
  readonly ended: Readonly<Record<number, Figures>>;
  /** Of acceptors whose number is no more. */
  readonly gone: Figures;
}

export class NodeStatus {
  readonly #reportMs: number;
  readonly #entries = new Map<number, Entry>();
  readonly #registrar = makeEntry(
    [...PRESENCE_LIST, ...COMMAND_LIST, ...BACKEND_AUTH_LIST],
    makeRegistrarCounters(),
  );
  /** Totals of acceptors that a reload has made too many: the node's own never fall. */
  readonly #gone = newAcceptor();
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
      this.#entries.set(index, newAcceptor());
    }
  }

  /** The supervisor's full list; the counters of a process that ended go into the base. */
  onNode(node: NodeMessage, now: number): void {
    this.#node = node;
    this.#heardAt = now;
    const live = new Set<string>();
    const told = new Set<Entry>();
    for (const { role, index, state, incarnation, why, isBeside } of node.children) {
      if (role === 'observer') continue;
      const entry = this.#entryOf(index);
      told.add(entry);
      if (incarnation !== undefined) {
        live.add(incarnation);
        if (!entry.lives.has(incarnation)) entry.lives.set(incarnation, newLife());
      }
      if (!isBeside) Object.assign(entry, { state, why, incarnation });
    }
    for (const entry of told) bury(entry, live);
    // A reload may have made fewer acceptors: but some there always are.
    const hasAcceptors = node.children.some(({ role }) => role === 'acceptor');
    for (const [index, entry] of this.#entries) {
      if (!hasAcceptors || told.has(entry)) continue;
      bury(entry, live);
      mergeKind(entry, this.#gone.base, entry.base, 'total');
      this.#entries.delete(index);
    }
  }

  /** For the observer after this one, which hears of the processes that live from themselves. */
  get endedTotals(): EndedTotals {
    const all = [[0, this.#registrar] as const, ...this.#entries];
    const ended = Object.fromEntries(all.map(([index, { base }]) => [index, base]));
    return { ended, gone: this.#gone.base };
  }

  /** What the observer before this one has left. */
  carry({ ended, gone }: EndedTotals): void {
    for (const [index, totals] of Object.entries(ended)) {
      const entry = this.#entryOf(Number(index));
      mergeKind(entry, entry.base, totals, 'total');
    }
    mergeKind(this.#gone, this.#gone.base, gone, 'total');
  }

  /** A reload may have made more acceptors. */
  #entryOf(index: number): Entry {
    if (index === 0) return this.#registrar;
    const entry = this.#entries.get(index) ?? newAcceptor();
    this.#entries.set(index, entry);
    return entry;
  }

  /** Take a report if its incarnation is live according to the supervisor; else ignore it. */
  onReport(report: ReportMessage, now: number): void {
    const entry = report.index === 0 ? this.#registrar : this.#entries.get(report.index);
    const life = entry?.lives.get(report.incarnation);
    if (life === undefined) return;
    if (report.index === 0 && report.notReady === undefined) this.#isClaimed = true;
    life.last = report;
    life.reportedAt = now;
  }

  /** Totals of acceptors that are no part of the node any more. */
  get gone(): Counters {
    return this.#gone.base as Counters;
  }

  /** Figures of each acceptor since the node's start; gauges of a dead one are 0. */
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
    return [...this.#entries.values(), this.#registrar].flatMap(({ lives }) =>
      [...lives.values()].flatMap((life) =>
        life.last && this.#isFresh(life, now) ? [life.last] : [],
      ),
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
      const { state, lives } = entry;
      const { last } = main(entry);
      const serves = (life: Life) =>
        this.#isFresh(life, now) && life.last !== undefined && life.last.notReady === undefined;
      // In a reload one of two is enough.
      if (state === 'ready' && [...lives.values()].some(serves)) continue;
      if (state !== 'ready') unready.push({ acceptor, reason: whyStarting(entry) ?? state });
      else if (!last || !this.#isFresh(main(entry), now))
        unready.push({ acceptor, reason: 'no report' });
      else if (last.notReady !== undefined) unready.push({ acceptor, reason: last.notReady });
    }
    if (!this.#isClaimed)
      unready.push({ reason: main(this.#registrar).last?.notReady ?? 'no registrar' });
    return unready;
  }

  /** Every process that works has said how it is, well or not. */
  get hasHeardAll(): boolean {
    const entries = [...this.#entries.values(), this.#registrar];
    const isHeard = (one: Entry) => one.state !== 'ready' || main(one).last !== undefined;
    return this.#node !== undefined && entries.every(isHeard);
  }

  #isFresh({ reportedAt }: Life, now: number): boolean {
    return now - reportedAt <= FRESH_INTERVALS * this.#reportMs;
  }

  /** Why the registrar does not work at all: it is missing, hangs, or reports so itself. */
  #registrarFault(now: number): Omit<Degraded, 'part'> | undefined {
    const { state, why } = this.#registrar;
    const life = main(this.#registrar);
    const because = why === undefined ? '' : `: ${why}`;
    const cause = 'process-failing';
    if (state !== 'ready') return { reason: `registrar ${state}${because}`, cause };
    if (!this.#isFresh(life, now)) return { reason: 'no report', cause };
    const notReady = life.last?.notReady;
    return notReady === undefined ? undefined : { reason: notReady };
  }

  /** What does not work although devices are served. */
  degraded(now: number): (Degraded & { readonly acceptor?: number })[] {
    return [...this.#degraded(now), ...this.#alarmed];
  }

  #degraded(now: number): (Degraded & { readonly acceptor?: number })[] {
    const { last } = main(this.#registrar);
    const fault = this.#registrarFault(now);
    const degraded =
      fault === undefined
        ? [...(last?.degraded ?? [])]
        : (['presence', 'commands'] as const).map((part) => ({ part, ...fault }));
    const ofAcceptors = [...this.#entries].flatMap(([acceptor, entry]) =>
      (main(entry).last?.degraded ?? []).map((one) => ({ acceptor, ...one })),
    );
    return [...degraded, ...ofAcceptors];
  }
}

function makeEntry(specs: SpecList, base: Figures): Entry {
  return { specs, state: 'ended', base, why: undefined, incarnation: undefined, lives: new Map() };
}

function newAcceptor(): Entry {
  return makeEntry(METRIC_LIST, makeCounters(MESSAGE_TYPES));
}

function newLife(): Life {
  return { last: undefined, reportedAt: Number.NEGATIVE_INFINITY };
}

function main({ lives, incarnation = '' }: Entry): Life {
  return lives.get(incarnation) ?? newLife();
}

/** Counters of processes that are not live any more go into the base. */
function bury(entry: Entry, live: ReadonlySet<string>): void {
  for (const [incarnation, { last }] of entry.lives) {
    if (live.has(incarnation)) continue;
    if (last) mergeKind(entry, entry.base, last.snapshot, 'total');
    entry.lives.delete(incarnation);
  }
}

/** In its own words, of one that waits for others. */
function whyStarting(entry: Entry): string | undefined {
  return entry.state === 'starting' ? main(entry).last?.notReady : undefined;
}

function totalOf(entry: Entry): Figures {
  const sum = structuredClone(entry.base);
  const taking = main(entry).last;
  if (taking) mergeKind(entry, sum, taking.snapshot, 'gauge');
  for (const { last } of entry.lives.values()) {
    if (last) mergeKind(entry, sum, last.snapshot, 'total');
    // Both have some of the links.
    if (last && last !== taking) merge(entry.specs, sum, last.snapshot, 'gauge', addLinks);
  }
  return sum;
}

function addLinks(mine: number, theirs: number, name: string): number {
  return name === 'links' ? mine + theirs : mine;
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
