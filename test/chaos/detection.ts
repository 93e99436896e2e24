/**
 * Detection: did the node notice in time that the broker had gone, and was it there again in time?
 * Pure.
 * From: what the node logged of its broker links, and when each fault began and ended.
 * To: a Detection for each link and fault; a failure for one that is late beyond its bound and
 * beyond what the machine kept the node, or the broker, from running.
 * Bound: what Owsla's own limits make of it: heartbeats, a connect that hangs, the longest pause.
 */
import type { Limits } from '../../src/base/limits.ts';
import type { LogLine } from '../helpers/processes/server.ts';
import type { Span } from './books.ts';
import { deniedMs, type Sample } from './machine.ts';

/** How a fault takes the broker from the node. */
export type Loss =
  /** Its connections are reset at once. */
  | 'closed'
  /** Nothing comes any more on connections that were open, not even when the fault is over. */
  | 'cut'
  /** Nothing comes until the fault is over, and then everything does. */
  | 'stopped'
  /** One node of a cluster: some links lose it, at once or later, and others are there. */
  | 'node';

/** What the node says of one of its links. */
export interface Word {
  readonly at: number;
  /** As in `acceptor 1, publish`. */
  readonly link: string;
  readonly what: 'up' | 'lost';
}

export interface Detection {
  readonly link: string;
  readonly what: 'noticed' | 'up again';
  /** Until it came about; else until nobody looked any more. */
  readonly tookMs: number;
  readonly hasCome: boolean;
  readonly boundMs: number;
  /** How long meanwhile the machine kept those from running that it takes. */
  readonly deniedMs: number;
}

/** A reset arrives as fast as any frame. */
const CLOSED_MS = 1_000;
/** amqplib looks once per heartbeat and gives up at the second look that finds nothing. */
const LOOKS = 3;
/** Declaring and opening what the link is for, on a machine that has time for it. */
const SET_UP_MS = 1_000;

/** The words of a node's log, in order. */
export function wordsOf(log: readonly LogLine[]): Word[] {
  return log
    .filter(({ msg }) => msg === 'broker link up' || msg === 'broker link lost')
    .map(({ msg, time, role, acceptor, link }) => ({
      at: Date.parse(String(time)),
      link: `${role}${acceptor === undefined ? '' : ` ${acceptor}`}, ${link}`,
      what: msg === 'broker link up' ? ('up' as const) : ('lost' as const),
    }))
    .sort((a, b) => a.at - b.at);
}

export interface Around {
  readonly words: readonly Word[];
  readonly samples: readonly Sample[];
  readonly limits: Pick<Limits, 'heartbeatMs' | 'brokerConnectMs' | 'reconnectMaxMs'>;
  /** Up to here the words are about this fault: the next one began, or the run ended. */
  readonly until: number;
}

/** Every link that this fault concerned: when it noticed, and when it was up again. */
export function detectionsOf(loss: Loss, span: Span, around: Around): Detection[] {
  const before = new Map<string, Word>();
  for (const word of around.words) if (word.at <= span.from) before.set(word.link, word);
  return [...before.values()]
    .filter(({ what }) => what === 'up')
    .flatMap(({ link }) => ofLink(link, loss, span, around));
}

function ofLink(link: string, loss: Loss, span: Span, around: Around): Detection[] {
  const { words, samples, limits, until } = around;
  const own = words.filter(({ at, link: of }) => of === link && at > span.from && at < until);
  const lost = own.find(({ what }) => what === 'lost');
  const found: Detection[] = [];
  const boundMs = loss === 'closed' ? CLOSED_MS : LOOKS * limits.heartbeatMs;
  // Who hears nothing only for a while need not notice, nor one whose node of a cluster lives.
  const silentUntil = loss === 'stopped' ? Math.min(span.to, until) : until;
  const mustNotice = loss !== 'node' && silentUntil - span.from > boundMs;
  if (loss !== 'node' && (lost !== undefined || mustNotice)) {
    const upTo = lost?.at ?? silentUntil;
    found.push({
      ...{ link, what: 'noticed', boundMs, hasCome: lost !== undefined },
      tookMs: upTo - span.from,
      deniedMs: deniedMs(samples, span.from, upTo, 'node'),
    });
  }
  if (lost !== undefined) {
    const from = loss === 'node' ? lost.at : Math.max(lost.at, span.to);
    const up = own.find(({ at, what }) => what === 'up' && at >= lost.at);
    const upTo = up?.at ?? until;
    const of = (who: 'node' | 'brokers') => deniedMs(samples, from, upTo, who);
    found.push({
      ...{ link, what: 'up again', hasCome: up !== undefined },
      tookMs: Math.max(0, upTo - from),
      boundMs: limits.brokerConnectMs + limits.reconnectMaxMs + SET_UP_MS,
      deniedMs: of('node') + of('brokers'),
    });
  }
  return found;
}

/** One sentence for each that was later than its bound, the machine's part and `graceMs`. */
export function failuresOf(
  name: string,
  detections: readonly Detection[],
  graceMs: number,
): string[] {
  return detections
    .filter(({ tookMs, boundMs, deniedMs: denied }) => tookMs - denied > boundMs + graceMs)
    .map(({ link, what, hasCome, tookMs, boundMs, deniedMs: denied }) => {
      const took = `${hasCome ? 'only' : 'not even'} after ${Math.round(tookMs)} ms`;
      const machine = `of which the machine made ${Math.round(denied)}`;
      return `'${name}': ${link}: ${what} ${took}, ${machine}, not within ${boundMs}`;
    });
}
