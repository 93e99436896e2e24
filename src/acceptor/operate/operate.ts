/**
 * Operate: what people ask of an acceptor and do to its links, put together.
 * From: acceptor.ts, which has the links.  To: the answers of its channel with the observer.
 * Bound: none of its own: each part has one.
 */
import type { Clock } from '../../base/clock.ts';
import type { Config } from '../../base/config.ts';
import type { AnswersByKind } from '../../node/channel.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { Registry } from '../endpoint/registry.ts';
import type { Spread } from '../endpoint/spread.ts';
import { LinkTraces } from '../trace/linkTraces.ts';
import { EndedLinks } from './endedLinks.ts';
import { hotQuestions } from './hotLinks.ts';
import { LinkPages } from './linkPages.ts';
import { type LinkQuestionsOptions, linkQuestions } from './linkQuestions.ts';
import { LinkWalk } from './linkWalk.ts';
import { OperatorDrain } from './operatorDrain.ts';

export interface OperateOptions {
  readonly config: Pick<Config, 'limits' | 'acceptors'>;
  readonly index: number;
  readonly incarnation: string;
  readonly registry: Registry<Endpoint>;
  readonly clock: Clock;
  readonly spread: Spread;
  readonly open: LinkQuestionsOptions['open'];
}

export interface Operate {
  readonly ended: EndedLinks;
  readonly drain: OperatorDrain;
  readonly traces: LinkTraces;
  readonly answers: AnswersByKind;
}

export function makeOperate(options: OperateOptions): Operate {
  const { config, index, incarnation, registry, clock, spread, open } = options;
  const { limits, acceptors } = config;
  const look = () => ({
    ...{ now: clock.now(), us: clock.us(), wall: clock.wall() },
    acceptor: index,
  });
  const walk = new LinkWalk({ lateMs: limits.questionMs });
  const pages = new LinkPages({ registry, walk, look });
  const size = Math.ceil(limits.closedLinksMax / acceptors);
  const ended = new EndedLinks({ acceptor: index, size, clock, walk });
  const drain = new OperatorDrain({ registry, limits, clock, spread });
  const traces = new LinkTraces({ registry, walk, limits, clock, acceptor: index });
  const parts = { registry, look, walk, pages, ended, drain, open };
  const questions = linkQuestions({ incarnation, limits, ...parts });
  return {
    ended,
    drain,
    traces,
    answers: { ...questions, ...hotQuestions(parts), ...traces.answers },
  };
}
