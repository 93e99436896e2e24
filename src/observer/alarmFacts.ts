/**
 * AlarmFacts: what alarms are judged by, as of one moment.
 * From: nodeStatus.ts, what processes have reported of late; machine.ts.  To: alarmRules.ts.
 * Bound: an entry for each process; the last RESTARTS_KEPT ends of each child.
 *
 * A process that has not reported of late says nothing: only that it is silent. One that a reload
 * begins or ends has no broker yet, or no more: that is no fault.
 */
import type { Limits } from '../base/limits.ts';
import type { Counters, RegistrarCounters } from '../base/metrics.ts';
import type { Concern } from '../node/alarmNames.ts';
import type { ChildFacts, NodeMessage } from '../node/ipc.ts';
import { hasReloadEnded } from '../node/reloadFacts.ts';
import type { Degraded, ReportMessage } from '../node/report.ts';
import type { MachineFacts } from './machine.ts';
import type { NodeStatus } from './nodeStatus.ts';

export interface ProcessFacts {
  readonly name: string;
  readonly isBrokerAway: boolean;
  readonly lagSeconds: number;
  readonly rssBytes: number;
  readonly heapRatio: number;
  /** 0: not known. */
  readonly openFiles: number;
  readonly openFilesMax: number;
}

export interface AcceptorFacts extends ProcessFacts {
  readonly links: number;
  readonly linksMax: number;
  readonly heavyBytes: number;
  readonly isBrokerBlocked: boolean;
}

export interface ChildHealth {
  readonly name: string;
  /** Why it does not work now. */
  readonly fault: string | undefined;
  /** Within RESTART_WINDOW_MS. */
  readonly restarts: number;
}

export interface AlarmFacts {
  readonly processes: readonly ProcessFacts[];
  /** Those of them that hold links. */
  readonly acceptors: readonly AcceptorFacts[];
  readonly children: readonly ChildHealth[];
  readonly degraded: readonly (Degraded & { readonly acceptor?: number })[];
  readonly concerns: readonly Concern[];
  readonly machine: MachineFacts;
  readonly walBytes: number;
  readonly storeWalBytesMax: number;
  readonly linksBytesMax: number;
  /** ms since 1970. */
  readonly wall: number;
}

/** Ends of a child within this time are counted together. */
const RESTART_WINDOW_MS = 120_000;
const RESTARTS_KEPT = 16;

/** What is remembered of each child. */
interface Life {
  /** How often it had been started again at the last look; undefined at the first one. */
  seen: number | undefined;
  /** It has worked once: before that it may take its time to start. */
  hasServed: boolean;
  /** When it was seen that it had been started again, monotonic ms. */
  readonly restarts: number[];
}

type Sources = Pick<NodeStatus, 'node' | 'fresh' | 'degraded'>;

export class FactsOfNode {
  readonly #status: Sources;
  readonly #limits: Pick<Limits, 'storeWalBytesMax' | 'linksBytesMax'>;
  readonly #lives = new Map<string, Life>();

  constructor(status: Sources, limits: Pick<Limits, 'storeWalBytesMax' | 'linksBytesMax'>) {
    this.#status = status;
    this.#limits = limits;
  }

  /** Undefined: there is nothing to judge, as the node begins or ends. */
  at(now: number, wall: number, machine: MachineFacts): AlarmFacts | undefined {
    const { node } = this.#status;
    if (node === undefined || node.isStopping) return undefined;
    const reports = this.#status.fresh(now);
    const settled = settledOf(node);
    const incarnations = new Set(settled.map(({ incarnation }) => incarnation));
    const isSettled = ({ incarnation }: ReportMessage) => incarnations.has(incarnation);
    const acceptors = reports.flatMap((report) => acceptorOf(report, isSettled(report)) ?? []);
    const registrar = reports.flatMap((report) => registrarOf(report, isSettled(report)) ?? []);
    const { storeWalBytesMax, linksBytesMax } = this.#limits;
    return {
      acceptors,
      processes: [...acceptors, ...registrar],
      children: this.#children(settled, reports, now),
      degraded: this.#status.degraded(now),
      concerns: concernsOf(reports),
      walBytes: reports.reduce((most, one) => Math.max(most, walBytesOf(one)), 0),
      ...{ machine, storeWalBytesMax, linksBytesMax, wall },
    };
  }

  #children(
    settled: readonly ChildFacts[],
    reports: readonly ReportMessage[],
    now: number,
  ): ChildHealth[] {
    const known = new Set(reports.map(({ incarnation }) => incarnation));
    return settled
      .filter(({ role }) => role !== 'observer')
      .map((child) => this.#childOf(child, known.has(child.incarnation ?? ''), now));
  }

  #childOf(child: ChildFacts, isHeard: boolean, now: number): ChildHealth {
    const name = nameOf(child);
    const life = this.#lives.get(name) ?? {
      seen: undefined,
      hasServed: false,
      restarts: [],
    };
    this.#lives.set(name, life);
    const { state, restarts = 0 } = child;
    for (let more = restarts - (life.seen ?? restarts); more > 0; more -= 1)
      life.restarts.push(now);
    life.seen = restarts;
    life.restarts.splice(0, life.restarts.length - RESTARTS_KEPT);
    while ((life.restarts[0] ?? now) < now - RESTART_WINDOW_MS) life.restarts.shift();
    if (state === 'ready' && isHeard) life.hasServed = true;
    const fault = life.hasServed ? faultOf(child, isHeard) : undefined;
    return { name, fault, restarts: life.restarts.length };
  }
}

/** Those that a reload is not at work on. */
function settledOf({ children, reload }: NodeMessage): ChildFacts[] {
  const isOn = reload !== undefined && !hasReloadEnded(reload);
  const isChanging = ({ state }: ChildFacts) => state === 'starting' || state === 'stopping';
  return children.filter((child) => !child.isBeside && !(isOn && isChanging(child)));
}

/** One that starts and says that it waits for others is not at fault. */
function faultOf({ state, why }: ChildFacts, isHeard: boolean): string | undefined {
  if (isHeard && (state === 'ready' || state === 'starting')) return undefined;
  const because = why === undefined ? '' : `: ${why}`;
  return state === 'ready' ? 'silent' : `${state}${because}`;
}

function nameOf({ role, index }: Pick<ChildFacts, 'role' | 'index'>): string {
  return role === 'acceptor' ? `acceptor ${index}` : role;
}

function isOfAcceptor(snapshot: ReportMessage['snapshot']): snapshot is Counters {
  return 'linksMax' in snapshot;
}

function acceptorOf({ index, snapshot }: ReportMessage, isSettled: boolean) {
  if (!isOfAcceptor(snapshot)) return undefined;
  const { links, linksMax, heavyBytes, brokerUp, brokerBlocked } = snapshot;
  return {
    ...measuredOf(nameOf({ role: 'acceptor', index }), snapshot),
    isBrokerAway: isSettled && Object.values(brokerUp).some((flag) => flag === 0),
    isBrokerBlocked: brokerBlocked === 1,
    ...{ links, linksMax, heavyBytes },
  };
}

function registrarOf({ snapshot }: ReportMessage, isSettled: boolean): ProcessFacts | undefined {
  if (isOfAcceptor(snapshot)) return undefined;
  const isBrokerAway = isSettled && snapshot.brokerUp === 0;
  return { ...measuredOf('registrar', snapshot), isBrokerAway };
}

function measuredOf(name: string, snapshot: Counters | RegistrarCounters) {
  const { loopLagP99Seconds: lagSeconds, rssBytes, heapRatio, openFiles, openFilesMax } = snapshot;
  return { name, lagSeconds, rssBytes, heapRatio, openFiles, openFilesMax };
}

function walBytesOf({ snapshot }: ReportMessage): number {
  return 'walBytes' in snapshot ? snapshot.walBytes : 0;
}

/** Acceptors have the same files: each is named once. */
function concernsOf(reports: readonly ReportMessage[]): Concern[] {
  const concerns = reports.flatMap(({ concerns: own }) => own ?? []);
  return [...new Map(concerns.map((one) => [`${one.about} ${one.name}`, one])).values()];
}
