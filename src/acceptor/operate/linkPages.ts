/**
 * LinkPages: an acceptor's part of a page of links, and the first of its links by one figure.
 * From: linkQuestions.ts.  To: rows for the observer, which puts the acceptors' parts together.
 * Bound: `limit` rows. A page goes on by connection id, so that each link which is there all the
 * time is in exactly one page, whoever comes and goes meanwhile; it ends early after PAGE_MS.
 */
import { SHARDS } from '../../base/limits.ts';
import type { LinkFacts } from '../../node/linkFacts.ts';
import { type Condition, type LinkField, meets } from '../../node/linkQuery.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import { type Registry, shardOf } from '../endpoint/registry.ts';
import { type Look, linkRowOf, readerOf } from './linkFields.ts';
import type { LinkWalk } from './linkWalk.ts';

/** What of a busy acceptor's time an answer may take: less than the asker waits. */
const PAGE_MS = 400;

export interface PageAsked {
  /** A connection id; '': from the first one. */
  readonly after: string;
  readonly limit: number;
  readonly conditions: readonly Condition[];
}

/** Rows by connection id. */
export interface LinksPart {
  readonly rows: readonly LinkFacts[];
  /** All up to here are in it; absent: to the end. */
  readonly upTo?: string;
}

export interface LinkPagesOptions {
  readonly registry: Registry<Endpoint>;
  readonly walk: LinkWalk;
  readonly look: () => Look;
}

export class LinkPages {
  readonly #options: LinkPagesOptions;

  constructor(options: LinkPagesOptions) {
    this.#options = options;
  }

  async page({ after, limit, conditions }: PageAsked): Promise<LinksPart> {
    const { walk, look, registry } = this.#options;
    const begun = look();
    const isMeant = filterOf(conditions, begun);
    const rows: LinkFacts[] = [];
    let upTo: string | undefined;
    await walk.shards(firstAfter(after), (shard) => {
      const links = [...registry.shard(shard)].filter((one) => one.id > after && isMeant(one));
      links.sort((a, b) => (a.id < b.id ? -1 : 1));
      rows.push(...links.slice(0, limit - rows.length).map((link) => linkRowOf(link, begun)));
      // Whoever comes later has its place before or behind this one: none is passed over.
      if (rows.length === limit) upTo = rows.at(-1)?.connection;
      else if (look().now - begun.now > PAGE_MS) upTo = endOf(shard);
      return upTo !== undefined;
    });
    return upTo === undefined || upTo === endOf(SHARDS - 1) ? { rows } : { rows, upTo };
  }

  /** The `limit` links with the most of it, the most first. */
  async top(field: LinkField, { limit, conditions }: PageAsked): Promise<LinkFacts[]> {
    const { walk, look, registry } = this.#options;
    const begun = look();
    const isMeant = filterOf(conditions, begun);
    const read = readerOf(field);
    const top = new Top(limit);
    await walk.shards(0, (shard) => {
      for (const link of registry.shard(shard)) {
        const value = Number(read(link, begun));
        if (value > top.least && isMeant(link)) top.add(link, value);
      }
      return false;
    });
    return top.links().map((link) => linkRowOf(link, look()));
  }
}

/** The shard that a page begins in. One that ended with a shard goes on behind it. */
function firstAfter(after: string): number {
  const shard = Math.max(0, shardOf(after));
  return after === endOf(shard) ? shard + 1 : shard;
}

/** Greater than all ids of a shard. */
function endOf(shard: number): string {
  return `${shard.toString(16).padStart(2, '0')}~`;
}

function filterOf(conditions: readonly Condition[], look: Look): (link: Endpoint) => boolean {
  const reads = conditions.map((condition) => ({
    condition,
    read: readerOf(condition.field as LinkField),
  }));
  return (link) => reads.every(({ condition, read }) => meets(condition, read(link, look)));
}

interface Ranked {
  readonly link: Endpoint;
  readonly value: number;
}

/** The links with the greatest values, of any number; twice `size` are held. */
export class Top {
  readonly #size: number;
  #ranked: Ranked[] = [];
  /** Only what is greater counts. */
  least = Number.NEGATIVE_INFINITY;

  constructor(size: number) {
    this.#size = size;
  }

  add(link: Endpoint, value: number): void {
    this.#ranked.push({ link, value });
    if (this.#ranked.length >= 2 * this.#size) this.#cut();
  }

  #cut(): void {
    this.#ranked.sort((a, b) => b.value - a.value);
    this.#ranked.length = Math.min(this.#ranked.length, this.#size);
    if (this.#ranked.length === this.#size) this.least = this.#ranked.at(-1)?.value ?? this.least;
  }

  /** Those that are still there. */
  links(): Endpoint[] {
    this.#cut();
    return this.#ranked.map(({ link }) => link).filter(({ isLive }) => isLive);
  }
}
