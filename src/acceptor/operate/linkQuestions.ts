/**
 * LinkQuestions: what an acceptor answers of its links, and does to them, for people.
 * From: the observer, by report.ts's channel.  To: its links; endedLinks.ts; operatorDrain.ts.
 * Bound: `linksPageMax` rows, and as many as surely fit into an answer. Whatever the question says
 * is checked here too: it is of people, and may come from a process of another version.
 */
import type { Limits } from '../../base/limits.ts';
import { DEVICE_ID } from '../../base/names.ts';
import { type AnswersByKind, ChannelError } from '../../node/channel.ts';
import type { LinkDetail } from '../../node/linkFacts.ts';
import {
  CLOSED_FIELDS,
  CLOSED_GROUPS,
  type ClosedGroupField,
  type Fields,
  LINK_FIELDS,
  QueryError,
  readConditions,
  SORT_FIELDS,
} from '../../node/linkQuery.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { Registry } from '../endpoint/registry.ts';
import type { EndedAsked, EndedLinks } from './endedLinks.ts';
import { type Look, linkRowOf } from './linkFields.ts';
import type { LinkPages, PageAsked } from './linkPages.ts';
import type { LinkWalk } from './linkWalk.ts';
import type { OperatorDrain } from './operatorDrain.ts';

export interface LinkQuestionsOptions {
  readonly incarnation: string;
  readonly limits: Limits;
  readonly registry: Registry<Endpoint>;
  readonly look: () => Look;
  readonly walk: LinkWalk;
  readonly pages: LinkPages;
  readonly ended: EndedLinks;
  readonly drain: OperatorDrain;
  readonly open: {
    requests(endpoint: Endpoint): number;
    commands(endpoint: Endpoint): number;
  };
}

type Body = Readonly<Record<string, unknown>>;

/** A row has at most so many bytes: texts are short. */
const ROW_BYTES_MAX = 1_024;
const PAGE_ROWS = 100;
/** A group is two short texts and three numbers. */
const GROUPS_SHARE = 2;
/** A connection id, or the end of a shard. */
const CURSOR = /^(?:[0-9a-f]{2}[0-9a-f~-]{0,34})?$/;
const US_PER_MS = 1_000;
const RETRY_MAX_MS = 0xffff_ffff;

/** By kind, as the observer asks them: it has other words for people. */
export function linkQuestions(options: LinkQuestionsOptions): AnswersByKind {
  const { pages, ended, drain, registry, limits } = options;
  const rowsMax = Math.min(
    limits.linksPageMax,
    Math.floor(limits.questionBytesMax / ROW_BYTES_MAX),
  );
  return {
    links: (body) => {
      const asked = pageIn(body, rowsMax);
      const { sort } = Object(body) as Body;
      if (sort === undefined) return pages.page(asked);
      const field = SORT_FIELDS.find((one) => one === sort);
      if (field === undefined) throw bad(`sort is one of ${SORT_FIELDS.join(' ')}`);
      return pages.top(field, asked).then((rows) => ({ rows }));
    },
    link: async (body) => (await linksOf(options, body)).map((one) => detailOf(options, one)),
    closed: async (body) => ({ rows: await ended.page(endedIn(body, rowsMax)) }),
    'closed-groups': async (body) => {
      const { by } = Object(body) as Body;
      const group = CLOSED_GROUPS.find((one) => one === by);
      if (group === undefined) throw bad(`by is one of ${CLOSED_GROUPS.join(' ')}`);
      const asked = endedIn(body, rowsMax);
      return { groups: await ended.groups(group as ClosedGroupField, groupsIn(asked, rowsMax)) };
    },
    disconnect: async (body) => {
      const { retryAfterMs } = Object(body) as Body;
      const retryAfter = retryIn(retryAfterMs);
      const links = await linksOf(options, body);
      for (const link of links) link.close('disconnected', retryAfter);
      return { disconnected: links.length };
    },
    drain: () => ({ already: !drain.begin(), links: registry.size }),
    resume: () => ({ already: !drain.end(), links: registry.size }),
  };
}

/** All groups of both rings, if they fit: what each acceptor left out would be missing in sums. */
function groupsIn(asked: EndedAsked, rowsMax: number): EndedAsked {
  return { ...asked, limit: Math.max(asked.limit, rowsMax * GROUPS_SHARE) };
}

/**
 * Usually one. `connection`: where the registrar has it, so that all need not be looked at; should
 * it be another device's by now, they are.
 */
async function linksOf(
  { registry, walk }: LinkQuestionsOptions,
  body: unknown,
): Promise<Endpoint[]> {
  const { device, connection } = Object(body) as Body;
  if (typeof device !== 'string' || !DEVICE_ID.test(device)) throw bad('device is no device id');
  const known = typeof connection === 'string' ? registry.find(connection) : undefined;
  if (known?.deviceId === device) return [known];
  const links: Endpoint[] = [];
  await walk.shards(0, (shard) => {
    for (const link of registry.shard(shard)) if (link.deviceId === device) links.push(link);
    return false;
  });
  return links.filter(({ isLive }) => isLive);
}

function detailOf(options: LinkQuestionsOptions, endpoint: Endpoint): LinkDetail {
  const { incarnation, limits, look, open } = options;
  const at = look();
  const { acceptedUs, pingedAt, proof, allowance } = endpoint;
  const topics = proof?.topics?.patterns.map((patterns) => patterns.join(' ')) ?? [];
  return {
    ...linkRowOf(endpoint, at),
    incarnation,
    acceptedAt: Math.round(at.wall - (at.us - acceptedUs) / US_PER_MS),
    ...(proof?.topics === undefined ? {} : { topics }),
    commandsOpen: open.commands(endpoint),
    requestsOpen: open.requests(endpoint),
    inFlightMax: allowance.inFlightMax(limits),
    ...(pingedAt === 0 ? {} : { pingedMsAgo: at.now - pingedAt }),
  };
}

function pageIn(body: unknown, rowsMax: number): PageAsked {
  const { after = '', limit, where } = Object(body) as Body;
  if (typeof after !== 'string' || !CURSOR.test(after)) throw bad('after is no connection id');
  return { after, limit: limitIn(limit, rowsMax), conditions: conditionsIn(where, LINK_FIELDS) };
}

function endedIn(body: unknown, rowsMax: number): EndedAsked {
  const { before, limit, where, device } = Object(body) as Body;
  if (before !== undefined && !Number.isSafeInteger(before)) throw bad('before is no order');
  const conditions = conditionsIn(where, CLOSED_FIELDS);
  if (device !== undefined) {
    if (typeof device !== 'string' || !DEVICE_ID.test(device)) throw bad('device is no device id');
    conditions.push({ field: 'device', sign: '=', value: device });
  }
  const from = before as number | undefined;
  return { before: from, limit: limitIn(limit, rowsMax), conditions };
}

function conditionsIn(where: unknown, fields: Fields) {
  try {
    return readConditions(where, fields);
  } catch (error) {
    throw error instanceof QueryError ? bad(error.message) : error;
  }
}

function limitIn(limit: unknown = PAGE_ROWS, rowsMax: number = PAGE_ROWS): number {
  if (Number.isSafeInteger(limit) && Number(limit) >= 1) return Math.min(Number(limit), rowsMax);
  throw bad('limit is a whole number from 1 up');
}

function retryIn(retryAfterMs: unknown): number | undefined {
  if (retryAfterMs === undefined || retryAfterMs === null) return undefined;
  const isTime = Number.isSafeInteger(retryAfterMs) && Number(retryAfterMs) >= 0;
  if (isTime && Number(retryAfterMs) <= RETRY_MAX_MS) return Number(retryAfterMs);
  throw bad('retryAfterMs is a whole number of milliseconds');
}

function bad(sentence: string): ChannelError {
  return new ChannelError('bad', sentence);
}
