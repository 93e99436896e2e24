/**
 * NodeLinks: questions about the links of the whole node, and what people do to them.
 * From: nodeQuestions.ts.  To: every acceptor at once; their parts, put together.
 * Bound: `questionMs` for each. One that does not answer is named in `missing`, and holds up nobody
 * longer; if none does, the question is refused. Neither broker nor registrar is needed.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from '../base/log.ts';
import { ChannelError } from '../node/channel.ts';
import { liveChildren } from '../node/ipc.ts';
import type {
  ClosedAnswer,
  ClosedFacts,
  ClosedGroup,
  DisconnectAnswer,
  DrainAnswer,
  LinkAnswer,
  LinkDetail,
  LinkFacts,
  LinksAnswer,
  MissingAnswer,
} from '../node/linkFacts.ts';
import type { ChildChannels } from './childChannels.ts';
import type { NodeDrain } from './nodeDrain.ts';
import type { NodeStatus } from './nodeStatus.ts';

export interface NodeLinksOptions {
  readonly status: Pick<NodeStatus, 'node'>;
  readonly children: Pick<ChildChannels, 'ask'>;
  readonly drain: NodeDrain;
  readonly log: Pick<Logger, 'info'>;
}

/** `who` asks, for the log. */
export type NodeAnswer = (body: unknown, who: string) => unknown;

type Body = Readonly<Record<string, unknown>>;

/** The registrar, where it is quick, knows which acceptor has a device, and no other is asked. */
const HINT_MS = 100;
const ROWS = 100;
/** Of one device, beside its link. */
const ENDS_SHOWN = 10;
const GROUPS_SHOWN = 100;

/** What acceptors give as their parts: see linkQuestions.ts there. */
interface LinksPart {
  readonly rows: readonly LinkFacts[];
  readonly upTo?: string;
}
export interface GroupsPart {
  readonly groups: readonly GroupPart[];
}
/** With the order of its last end: see ClosedFacts. */
export type GroupPart = ClosedGroup & Pick<ClosedFacts, 'order'>;

export function nodeLinks(options: NodeLinksOptions): Readonly<Record<string, NodeAnswer>> {
  return {
    links: (body) => linksOf(options, Object(body)),
    link: (body) => linkOf(options, Object(body)),
    closed: (body) => closedOf(options, Object(body)),
    disconnect: (body, who) => disconnect(options, Object(body), who),
    drain: (_, who) => setDrained(options, true, who),
    resume: (_, who) => setDrained(options, false, who),
  };
}

interface Parts<T> {
  readonly parts: readonly T[];
  readonly missing: readonly MissingAnswer[];
}

/** Each acceptor's part, and who gave none. Rejects when the question itself is refused. */
async function everyPart<T>(
  { status, children }: Pick<NodeLinksOptions, 'status' | 'children'>,
  kind: string,
  body: Body,
): Promise<Parts<T>> {
  const parts: T[] = [];
  const missing: MissingAnswer[] = [];
  const acceptors = (status.node?.children ?? []).filter(({ role }) => role === 'acceptor');
  const asked = acceptors.map(async ({ index, incarnation, state }) => {
    try {
      if (incarnation === undefined) throw new ChannelError('closed', `it is ${state}`);
      parts.push((await children.ask(incarnation, kind, body)) as T);
    } catch (error) {
      const { why, message } = error as ChannelError;
      if (why === 'bad') throw error;
      missing.push({ acceptor: index, why: message });
    }
  });
  await Promise.all(asked);
  missing.sort((a, b) => a.acceptor - b.acceptor);
  return { parts, missing };
}

/** The same, of questions that nobody's silence can answer. */
async function someParts<T>(
  options: NodeLinksOptions,
  kind: string,
  body: Body,
): Promise<Parts<T>> {
  const all = await everyPart<T>(options, kind, body);
  if (all.parts.length > 0) return all;
  const [first] = all.missing;
  const why = first === undefined ? 'the node is starting' : first.why;
  throw new ChannelError('failed', `no acceptor answers: ${why}`);
}

function limitOf({ limit }: Body, otherwise = ROWS): number {
  return Number.isSafeInteger(limit) ? Number(limit) : otherwise;
}

async function linksOf(options: NodeLinksOptions, body: Body): Promise<LinksAnswer> {
  const { parts, missing } = await someParts<LinksPart>(options, 'links', body);
  const limit = limitOf(body);
  const all = parts.flatMap(({ rows }) => rows);
  const figure = typeof body.sort === 'string' ? FIGURES[body.sort] : undefined;
  if (figure !== undefined) {
    return { rows: all.toSorted((a, b) => figure(b) - figure(a)).slice(0, limit), missing };
  }
  // Beyond the first place up to which somebody's part goes, it is not known who else is there.
  const upTo = parts.flatMap((part) => part.upTo ?? []).toSorted()[0];
  const known = all.filter(({ connection }) => upTo === undefined || connection <= upTo);
  const rows = known.toSorted((a, b) => (a.connection < b.connection ? -1 : 1)).slice(0, limit);
  const next = rows.length < known.length ? rows.at(-1)?.connection : upTo;
  return { rows, ...(next === undefined ? {} : { next }), missing };
}

/** Of SORT_FIELDS. */
const FIGURES: Readonly<Record<string, (row: LinkFacts) => number>> = {
  outbox: ({ outboxBytes }) => outboxBytes,
  held: ({ heldBytes }) => heldBytes,
  rate: ({ ratePerSecond }) => ratePerSecond,
  age: ({ ageMs }) => ageMs,
  idle: ({ idleMs }) => idleMs,
  'in-flight': ({ inFlight }) => inFlight,
  messages: ({ messagesIn, messagesOut }) => messagesIn + messagesOut,
  bytes: ({ bytesIn, bytesOut }) => bytesIn + bytesOut,
  'not-allowed': ({ notAllowed }) => notAllowed,
};

async function linkOf(options: NodeLinksOptions, { device }: Body): Promise<LinkAnswer> {
  const ends = closedOf(options, { device, limit: ENDS_SHOWN });
  // Awaited below; should the other fail first, it is nobody's.
  ends.catch(() => {});
  const found = await whereItIs(options, device);
  const { parts, missing } =
    found === undefined
      ? await someParts<readonly LinkDetail[]>(options, 'link', { device })
      : { parts: [found], missing: [] };
  const links = parts.flat();
  const closed = await ends;
  const silent = links.length > 0 ? missing : union(missing, closed.missing);
  return { device: String(device), links, closed: closed.rows, missing: silent };
}

function union(some: readonly MissingAnswer[], more: readonly MissingAnswer[]): MissingAnswer[] {
  const known = new Set(some.map(({ acceptor }) => acceptor));
  return [...some, ...more.filter(({ acceptor }) => !known.has(acceptor))];
}

/** Asked of the one acceptor that has it, as the registrar says; undefined: ask all. */
async function whereItIs(
  { status, children }: NodeLinksOptions,
  device: unknown,
): Promise<readonly LinkDetail[] | undefined> {
  const [registrar] = liveChildren(status.node, 'registrar');
  if (registrar === undefined) return undefined;
  const told = children.ask(registrar.incarnation, 'where', { device }).catch(() => undefined);
  const late = pause(HINT_MS, undefined, { ref: false });
  const where = (await Promise.race([told, late])) as
    | { readonly acceptor: string; readonly connection: string }
    | null
    | undefined;
  if (!where) return undefined;
  const { acceptor, connection } = where;
  const links = await children.ask(acceptor, 'link', { device, connection }).catch(() => []);
  return Array.isArray(links) && links.length > 0 ? links : undefined;
}

async function closedOf(options: NodeLinksOptions, body: Body): Promise<ClosedAnswer> {
  if (body.by !== undefined) return groupsOf(options, body);
  const limit = limitOf(body);
  const { parts, missing } = await someParts<{ readonly rows: readonly ClosedFacts[] }>(
    options,
    'closed',
    body,
  );
  const all = parts.flatMap(({ rows }) => rows).toSorted((a, b) => b.order - a.order);
  // A page goes on below `order`: those of the same moment stay together.
  const last = all[Math.min(limit, all.length) - 1]?.order ?? 0;
  const rows = all.filter(({ order }) => order >= last);
  const isFull = parts.some((part) => part.rows.length >= limit) || rows.length < all.length;
  return { rows, ...(isFull ? { next: `${last}` } : {}), missing };
}

async function groupsOf(options: NodeLinksOptions, body: Body): Promise<ClosedAnswer> {
  const { parts, missing } = await someParts<GroupsPart>(options, 'closed-groups', body);
  const groups = mergedGroups(parts.flatMap((part) => part.groups));
  return { rows: [], groups: groups.slice(0, limitOf(body, GROUPS_SHOWN)), missing };
}

/** The most first; a device may have ended in each acceptor. */
export function mergedGroups(parts: readonly GroupPart[]): ClosedGroup[] {
  const sums = new Map<string, GroupPart>();
  for (const group of parts) {
    const known = sums.get(group.key);
    const newest = known === undefined || group.order > known.order ? group : known;
    sums.set(group.key, { ...newest, ends: group.ends + (known?.ends ?? 0) });
  }
  return [...sums.values()]
    .toSorted((a, b) => b.ends - a.ends || b.order - a.order)
    .map(({ key, ends, at, reason }) => ({ key, ends, at, reason }));
}

async function disconnect(
  options: NodeLinksOptions,
  { device, retryAfterMs }: Body,
  who: string,
): Promise<DisconnectAnswer> {
  const asked = { device, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  const { parts, missing } = await someParts<{ readonly disconnected: number }>(
    options,
    'disconnect',
    asked,
  );
  const disconnected = parts.reduce((sum, part) => sum + part.disconnected, 0);
  // It is a change only where there was a link.
  if (disconnected > 0) {
    options.log.info({ who, what: 'disconnect', ...asked, links: disconnected }, AUDIT);
  }
  return { device: String(device), disconnected, missing };
}

const AUDIT = 'audit';

async function setDrained(
  options: NodeLinksOptions,
  isDrained: boolean,
  who: string,
): Promise<DrainAnswer> {
  const { drain, log } = options;
  const what = isDrained ? 'drain' : 'resume';
  const isNew = drain.want(isDrained);
  const { parts, missing } = await everyPart<{
    readonly already: boolean;
    readonly links: number;
  }>(options, what, {});
  const links = parts.reduce((sum, part) => sum + part.links, 0);
  const already = !isNew && parts.every((part) => part.already);
  if (!already) log.info({ who, what, links }, AUDIT);
  return { isDrained, already, links, missing };
}
