/**
 * Live: how the node is now, put together once for all who look.
 * From: reports, by nodeStatus.ts; processes and acceptors, by their channels.
 * To: watchQuestions.ts, liveStream.ts: the same answer for all who ask within LIVE_MS.
 * Bound: one rendering at a time, and none while nobody looks: rates are of two looks, IDLE_MS
 * apart at most. Links are looked at the less often the longer that takes: HOT_SHARE of an
 * acceptor's time; ended ones each CLOSED_MS.
 */
import { between, cumulative, type Histogram, quantileMs } from '../base/histogram.ts';
import { SHARDS } from '../base/limits.ts';
import type { Counters, RegistrarCounters } from '../base/metrics.ts';
import { type LiveChild, liveChildren } from '../node/ipc.ts';
import type { ClosedGroup, LinkFacts, MissingAnswer } from '../node/linkFacts.ts';
import {
  HOT_MAX,
  type HotField,
  type HotPart,
  type LiveAnswer,
  type LivePercentiles,
  type LiveProcess,
  type LiveRates,
} from '../node/liveAnswer.ts';
import type { StatusAnswer } from '../node/statusAnswer.ts';
import type { ChildChannels } from './childChannels.ts';
import { type GroupPart, type GroupsPart, mergedGroups } from './nodeLinks.ts';
import type { NodeStatus } from './nodeStatus.ts';

export const LIVE_MS = 1_000;
/** Between an answer and the next question; longer, and rates would be of long ago. */
const IDLE_MS = 3 * LIVE_MS;
const HOT_SHARE = 1 / 100;
const CLOSED_MS = 5_000;
const MS_PER_SECOND = 1_000;
/** Ends that are no fault of the device's; as many as a question may have conditions. */
const BLAMELESS = [
  ...['peer-fin', 'peer-bye', 'peer-reset', 'draining'],
  ...['taken-over', 'broker-lost', 'disconnected', 'keepalive-timeout'],
];

export interface LiveOptions {
  readonly status: NodeStatus;
  readonly children: Pick<ChildChannels, 'ask'>;
  readonly statusOf: () => Promise<StatusAnswer>;
  readonly now?: () => number;
}

/** An acceptor's last answers. */
interface Looked {
  hot: HotPart | undefined;
  reconnects: readonly GroupPart[];
  errors: readonly GroupPart[];
  /** When it may be asked again. */
  hotDue: number;
  closedDue: number;
  why: string | undefined;
}

/** Totals, and when they were so. */
interface Totals {
  readonly at: number;
  readonly acceptors: ReadonlyMap<number, Counters>;
  readonly registrar: RegistrarCounters;
}

export class Live {
  readonly #options: LiveOptions;
  readonly #now: () => number;
  /** By an acceptor's incarnation. */
  readonly #looked = new Map<string, Looked>();
  #last: Totals | undefined;
  #answer: Promise<LiveAnswer> | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(options: LiveOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** As of at most LIVE_MS ago. */
  read(): Promise<LiveAnswer> {
    const now = this.#now();
    if (this.#answer === undefined || now - this.#askedAt >= LIVE_MS) {
      this.#askedAt = now;
      this.#answer = this.#render(now);
    }
    return this.#answer;
  }

  async #render(begun: number): Promise<LiveAnswer> {
    const { status } = this.#options;
    const acceptors = liveChildren(status.node, 'acceptor');
    const [answer] = await Promise.all([
      this.#options.statusOf(),
      ...acceptors.map(({ incarnation }) => this.#look(incarnation)),
    ]);
    const live = new Set(acceptors.map(({ incarnation }) => incarnation));
    for (const incarnation of this.#looked.keys()) {
      if (!live.has(incarnation)) this.#looked.delete(incarnation);
    }
    const at = this.#now();
    const totals = { at, acceptors: status.acceptors(), registrar: status.registrar(at) };
    const isOld = this.#last === undefined || begun - this.#last.at > IDLE_MS;
    const before = isOld ? undefined : this.#last;
    this.#last = totals;
    return { ...figuresOf(totals, before), ...this.#lists(acceptors), status: answer };
  }

  /** Never rejects. */
  async #look(incarnation: string): Promise<void> {
    const none = { hot: undefined, reconnects: [], errors: [], why: undefined };
    const looked: Looked = this.#looked.get(incarnation) ?? { ...none, hotDue: 0, closedDue: 0 };
    this.#looked.set(incarnation, looked);
    const ask = (kind: string, body: unknown) =>
      this.#options.children.ask(incarnation, kind, body);
    try {
      if (this.#now() >= looked.hotDue) {
        looked.hot = (await ask('hot', null)) as HotPart;
        looked.hotDue = this.#now() + looked.hot.tookMs / HOT_SHARE - LIVE_MS / 2;
      }
      if (this.#now() >= looked.closedDue) {
        const groups = async (where: readonly string[]) => {
          const body = { by: 'device', limit: HOT_MAX, where };
          return ((await ask('closed-groups', body)) as GroupsPart).groups;
        };
        // All of them: a device may have ended once in each acceptor.
        looked.reconnects = await groups([]);
        looked.errors = await groups(BLAMELESS.map((reason) => `reason!=${reason}`));
        looked.closedDue = this.#now() + CLOSED_MS;
      }
      looked.why = undefined;
    } catch (error) {
      looked.why = (error as Error).message;
    }
  }

  #lists(
    acceptors: readonly LiveChild[],
  ): Pick<LiveAnswer, 'shards' | 'hot' | 'reconnects' | 'errors' | 'missing'> {
    const parts = acceptors.flatMap(({ incarnation }) => this.#looked.get(incarnation) ?? []);
    const missing: MissingAnswer[] = acceptors.flatMap(({ incarnation, index }) => {
      const { why } = this.#looked.get(incarnation) ?? {};
      return why === undefined ? [] : [{ acceptor: index, why }];
    });
    const worst = (field: HotField, value: (row: LinkFacts) => number) =>
      parts
        .flatMap(({ hot }) => hot?.[field] ?? [])
        .toSorted((a, b) => value(b) - value(a))
        .slice(0, HOT_MAX);
    return {
      shards: Array.from({ length: SHARDS }, (_, shard) =>
        parts.reduce((sum, { hot }) => sum + (hot?.shards[shard] ?? 0), 0),
      ),
      hot: {
        outbox: worst('outbox', ({ outboxBytes }) => outboxBytes),
        paused: worst('paused', ({ pausedMs = 0 }) => pausedMs),
        rate: worst('rate', ({ ratePerSecond }) => ratePerSecond),
      },
      reconnects: mergedGroups(parts.flatMap(({ reconnects }) => reconnects))
        .filter(isFlapping)
        .slice(0, HOT_MAX),
      errors: mergedGroups(parts.flatMap(({ errors }) => errors)).slice(0, HOT_MAX),
      missing,
    };
  }
}

/** One end is an end. */
function isFlapping({ ends, key }: ClosedGroup): boolean {
  return ends > 1 && key !== '';
}

type Figures = Pick<
  LiveAnswer,
  'at' | 'intervalMs' | 'processes' | 'rates' | 'ends' | 'now' | 'latency'
>;

/** A first look is compared with itself: nothing has happened since. */
function figuresOf(totals: Totals, before = totals): Figures {
  const { at, acceptors, registrar } = totals;
  const sinceMs = Math.max(1, Math.round(at - before.at));
  const perSecond = (now = 0, then = now) => (Math.max(0, now - then) * MS_PER_SECOND) / sinceMs;
  const all = [...acceptors.values()];
  const old = [...before.acceptors.values()];
  const rate = (of: (counters: Counters) => number) => perSecond(sumOf(all, of), sumOf(old, of));
  const processes: LiveProcess[] = [...acceptors].map(([index, counters]) => {
    const then = before.acceptors.get(index);
    return {
      ...processOf('acceptor', index, counters),
      cpuShare: perSecond(counters.cpuSeconds, then?.cpuSeconds),
      inPerSecond: perSecond(totalOf(counters.messagesIn), totalOf(then?.messagesIn)),
      outPerSecond: perSecond(totalOf(counters.messagesOut), totalOf(then?.messagesOut)),
    };
  });
  const cpuShare = perSecond(registrar.cpuSeconds, before.registrar.cpuSeconds);
  return {
    at: Date.now(),
    intervalMs: before === totals ? 0 : sinceMs,
    processes: [...processes, { ...processOf('registrar', 0, registrar), cpuShare }],
    rates: ratesOf(rate),
    ends: endsOf(all, old),
    now: {
      paused: sumOf(all, ({ pausedLinks }) => pausedLinks),
      heavy: sumOf(all, ({ heavyLinks }) => heavyLinks),
      heavyBytes: sumOf(all, ({ heavyBytes }) => heavyBytes),
      requestsOpen: sumOf(all, ({ requestsOpen }) => requestsOpen),
      confirmsWaiting: sumOf(all, ({ confirmsWaiting }) => confirmsWaiting),
      connectsWaiting: sumOf(all, ({ connectsWaiting }) => connectsWaiting),
      presenceOutbox: registrar.outbox,
      commandsKept: registrar.kept,
    },
    latency: latencyOf(all, old),
  };
}

function processOf(
  role: LiveProcess['role'],
  index: number,
  counters: Pick<Counters, 'rssBytes' | 'loopLagP99Seconds'>,
): LiveProcess {
  const { rssBytes, loopLagP99Seconds } = counters;
  const lagMs = loopLagP99Seconds * MS_PER_SECOND;
  return { role, index, cpuShare: 0, rssBytes, lagMs, inPerSecond: 0, outPerSecond: 0 };
}

function ratesOf(rate: (of: (counters: Counters) => number) => number): LiveRates {
  return {
    messagesIn: rate(({ messagesIn }) => totalOf(messagesIn)),
    messagesOut: rate(({ messagesOut }) => totalOf(messagesOut)),
    bytesIn: rate(({ bytesIn }) => bytesIn),
    bytesOut: rate(({ bytesOut }) => bytesOut),
    events: rate(({ messagesIn }) => messagesIn.event ?? 0),
    requests: rate(({ messagesIn }) => messagesIn.request ?? 0),
    replies: rate(({ messagesOut }) => messagesOut.reply ?? 0),
    commands: rate(({ messagesOut }) => messagesOut.command ?? 0),
    confirms: rate(({ confirms }) => confirms),
    accepts: rate(({ accepts }) => accepts),
    ends: rate(({ closes }) => totalOf(closes)),
  };
}

/** Of what was observed since. */
function latencyOf(
  all: readonly Counters[],
  old: readonly Counters[],
): Record<string, LivePercentiles> {
  const measured: readonly (readonly [string, (counters: Counters) => Histogram])[] = [
    ['request', ({ requestSeconds }) => requestSeconds],
    ['confirm', ({ confirmSeconds }) => confirmSeconds],
    ['connect', ({ connectSeconds }) => connectSeconds],
  ];
  const figures = measured.flatMap(([what, of]): (readonly [string, LivePercentiles])[] => {
    const histogram = between(all.map(of), old.map(of));
    const { count } = cumulative(histogram);
    if (count === 0) return [];
    return [[what, { p50: quantileMs(histogram, 0.5), p99: quantileMs(histogram, 0.99), count }]];
  });
  return Object.fromEntries(figures);
}

/** Those that happened. */
function endsOf(all: readonly Counters[], old: readonly Counters[]): Record<string, number> {
  const reasons = Object.keys(all[0]?.closes ?? {});
  const counted = reasons.map((reason) => {
    const of = ({ closes }: Counters) => closes[reason as keyof typeof closes] ?? 0;
    return [reason, sumOf(all, of) - sumOf(old, of)] as const;
  });
  return Object.fromEntries(counted.filter(([, count]) => count > 0));
}

function sumOf(all: readonly Counters[], of: (counters: Counters) => number): number {
  return all.reduce((sum, counters) => sum + of(counters), 0);
}

function totalOf(byLabel: Readonly<Record<string, number>> | undefined): number {
  return Object.values(byLabel ?? {}).reduce((sum, count) => sum + count, 0);
}
