/**
 * LiveAnswer: how a node is now, all of it: `owsla top`, and the stream of the HTTP API.
 * From: the observer's live.ts, about once a second while somebody looks.  To: whoever looks.
 * Bound: one entry per process; 256 shards; lists of HOT_MAX rows.
 */
import type { ClosedGroup, LinkFacts, MissingAnswer } from './linkFacts.ts';
import type { StatusAnswer } from './statusAnswer.ts';

/** Rows of a list. */
export const HOT_MAX = 20;

/** Links that hurt, the worst first, by what is the worst of them. */
export interface HotLinks {
  /** Sent, and not taken by the device yet. */
  readonly outbox: readonly LinkFacts[];
  /** Not read, for the longest time. */
  readonly paused: readonly LinkFacts[];
  /** Messages a second. */
  readonly rate: readonly LinkFacts[];
}
export const HOT_FIELDS = ['outbox', 'paused', 'rate'] as const;
export type HotField = (typeof HOT_FIELDS)[number];

/** What an acceptor answers to `hot`. */
export interface HotPart extends HotLinks {
  /** Links of each shard. */
  readonly shards: readonly number[];
  /** Time of the event loop that it took. */
  readonly tookMs: number;
}

export interface LiveProcess {
  readonly role: 'acceptor' | 'registrar';
  readonly index: number;
  /** Of a core. */
  readonly cpuShare: number;
  readonly rssBytes: number;
  /** 99th percentile of the event loop's delay. */
  readonly lagMs: number;
  /** Of an acceptor: messages a second, from devices and to them. */
  readonly inPerSecond: number;
  readonly outPerSecond: number;
}

export interface LiveRates {
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly events: number;
  readonly requests: number;
  readonly replies: number;
  readonly commands: number;
  readonly confirms: number;
  readonly accepts: number;
  readonly ends: number;
}

/** In ms, of the last interval, as exact as bounds of histograms; absent: nothing was measured. */
export interface LivePercentiles {
  readonly p50: number;
  readonly p99: number;
  readonly count: number;
}

export interface LiveAnswer {
  /** ms since 1970. */
  readonly at: number;
  /** Over which rates are meant; 0: nobody had looked just before, and they are 0. */
  readonly intervalMs: number;
  readonly status: StatusAnswer;
  readonly processes: readonly LiveProcess[];
  /** A second. */
  readonly rates: LiveRates;
  /** Ends in the interval, by reason: those that happened. */
  readonly ends: Readonly<Record<string, number>>;
  /** Links that are paused, or hold much; messages under way. */
  readonly now: {
    readonly paused: number;
    readonly heavy: number;
    readonly heavyBytes: number;
    readonly requestsOpen: number;
    readonly confirmsWaiting: number;
    readonly connectsWaiting: number;
    readonly presenceOutbox: number;
    readonly commandsKept: number;
  };
  /** By what is measured: `request`, `confirm`, `connect`. */
  readonly latency: Readonly<Record<string, LivePercentiles>>;
  readonly shards: readonly number[];
  readonly hot: HotLinks;
  /** Devices that came and went most often; and that ended by a fault of theirs. */
  readonly reconnects: readonly ClosedGroup[];
  readonly errors: readonly ClosedGroup[];
  /** Acceptors whose links are not in these lists. */
  readonly missing: readonly MissingAnswer[];
}
