/**
 * HotLinks: the links of an acceptor that hurt, and how many each shard has, in one look at all.
 * From: the observer's question `hot`, while somebody watches.  To: the rows of the worst.
 * Bound: HOT_MAX rows of each kind; linkWalk.ts's share of each turn. How long it took is told, so
 * that it is asked the less often the more links there are.
 */
import type { AnswersByKind } from '../../node/channel.ts';
import { HOT_FIELDS, HOT_MAX, type HotField, type HotPart } from '../../node/liveAnswer.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { Registry } from '../endpoint/registry.ts';
import { type Look, linkRowOf } from './linkFields.ts';
import { Top } from './linkPages.ts';
import type { LinkWalk } from './linkWalk.ts';

export interface HotLinksOptions {
  readonly registry: Registry<Endpoint>;
  readonly walk: LinkWalk;
  readonly look: () => Look;
}

/** By kind, as the observer asks them. */
export function hotQuestions(options: HotLinksOptions): AnswersByKind {
  return { hot: () => hotLinks(options) };
}

async function hotLinks({ registry, walk, look }: HotLinksOptions): Promise<HotPart> {
  const tops = { outbox: new Top(HOT_MAX), paused: new Top(HOT_MAX), rate: new Top(HOT_MAX) };
  const shards: number[] = [];
  const { now } = look();
  let tookMs = 0;
  await walk.shards(0, (shard) => {
    const begun = performance.now();
    let links = 0;
    for (const link of registry.shard(shard)) {
      links += 1;
      // An idle one is a few fields of one object: of a large fleet, memory is what costs.
      if (link.ratePerSecond > 0) offer(tops.rate, link, link.ratePerSecond);
      if (link.mayWait) offer(tops.outbox, link, link.outboxBytes);
      if (link.pausedAt !== 0) offer(tops.paused, link, now - link.pausedAt + 1);
    }
    shards.push(links);
    tookMs += performance.now() - begun;
    return false;
  });
  const at = look();
  const rows = (field: HotField) => tops[field].links().map((link) => linkRowOf(link, at));
  const [outbox = [], paused = [], rate = []] = HOT_FIELDS.map(rows);
  return { outbox, paused, rate, shards, tookMs };
}

function offer(top: Top, link: Endpoint, value: number): void {
  if (value > 0 && value > top.least) top.add(link, value);
}
