/**
 * TopScreen: a node as it is now, as lines for a terminal of some size: the worst first. Pure.
 * From: topCommand.ts, with an answer of the node, or why there is none.  To: the same: lines.
 * Bound: as many lines and columns as there are.
 */
import type { ClosedGroup, LinkFacts } from '../node/linkFacts.ts';
import type { LiveAnswer, LiveProcess } from '../node/liveAnswer.ts';
import { lastReloadText } from './reloadText.ts';
import { ageOf, brokerState, clockOf, nameOfProcess } from './statusWords.ts';
import { tableOf } from './table.ts';

/** What its lists are by; the letter that chooses one is its first. */
export const TOP_SORTS = ['outbox', 'paused', 'rate', 'comings', 'errors'] as const;
export type TopSort = (typeof TOP_SORTS)[number];

export interface TopView {
  readonly answer: LiveAnswer | undefined;
  /** Why the node does not answer now. */
  readonly why: string | undefined;
  readonly sort: TopSort;
  readonly columns: number;
  readonly rows: number;
}

const SECOND = 1_000;
const ENDS_SHOWN = 4;
const LIST_ROWS_MIN = 3;
/** A rate, until the second look. */
const UNKNOWN = '-';

/** No line is longer than the terminal, and control characters of others are `?`. */
export function topLines(view: TopView): string[] {
  const { answer, why, sort, columns, rows } = view;
  const lines = [
    ...(why === undefined ? [] : [`! ${why}`]),
    ...(answer === undefined ? [] : allOf(answer, sort, rows)),
  ];
  const clean = lines.map((line) =>
    line
      .replaceAll(/\p{Cc}/gu, '?')
      .slice(0, columns)
      .trimEnd(),
  );
  return clean.slice(0, rows);
}

function allOf(answer: LiveAnswer, sort: TopSort, rows: number): string[] {
  const top = [...headOf(answer), ...troublesOf(answer), '', ...processesOf(answer), ''];
  const list = [sortsOf(sort), ...listOf(answer, sort)];
  // Of a node with many processes its links are still seen.
  const room = Math.max(rows - LIST_ROWS_MIN - 2, 0);
  return [...top.slice(0, room), ...list];
}

function headOf({ at, status, rates, ends, now, latency, intervalMs }: LiveAnswer): string[] {
  const { node, state, version, uptimeMs, links, linksMax } = status;
  const many = Object.entries(ends).toSorted(([, a], [, b]) => b - a);
  const reasons = many.slice(0, ENDS_SHOWN).map(([reason, count]) => `${reason} ${count}`);
  const timed = Object.entries(latency).map(
    ([what, { p50, p99 }]) => `${what} ${tookOf(p50)} (p99 ${tookOf(p99)})`,
  );
  const rate = (perSecond: number) => (intervalMs === 0 ? UNKNOWN : rateOf(perSecond));
  const size = (perSecond: number) => (intervalMs === 0 ? UNKNOWN : `${sizeOf(perSecond)}/s`);
  return [
    `owsla top  ${clockOf(at)}  ${state.replace('-', ' ')}  node ${node}, ${version}, up ${ageOf(uptimeMs)}`,
    `links ${links} of ${linksMax}   new ${rate(rates.accepts)}   ended ${rate(rates.ends)}` +
      (reasons.length === 0 ? '' : ` (${reasons.join(', ')} in ${secondsOf(intervalMs)}s)`),
    `in ${rate(rates.messagesIn)} ${size(rates.bytesIn)}   ` +
      `out ${rate(rates.messagesOut)} ${size(rates.bytesOut)}   ` +
      `events ${rate(rates.events)}   requests ${rate(rates.requests)}   ` +
      `commands ${rate(rates.commands)}`,
    `broker ${brokerState(status)}   requests open ${now.requestsOpen}   ` +
      `confirms waiting ${now.confirmsWaiting}   presence waiting ${now.presenceOutbox}   ` +
      `commands kept ${now.commandsKept}`,
    `paused ${now.paused}   heavy ${now.heavy} (${sizeOf(now.heavyBytes)})   ` +
      `waiting to connect ${now.connectsWaiting}`,
    ...(timed.length === 0 ? [] : [`took: ${timed.join('   ')}`]),
    ...(status.reload === undefined ? [] : [`reload ${lastReloadText(status.reload)}`]),
  ];
}

/** What is wrong, a line each. */
function troublesOf({ status, missing }: LiveAnswer): string[] {
  const { alarms, reasons, degraded, processes } = status;
  const named = (acceptor: number | undefined) =>
    acceptor === undefined ? '' : `acceptor ${acceptor}: `;
  const lines = [
    ...alarms.map(({ alarm, reason }) => `! ${alarm}: ${reason}`),
    ...reasons.map(({ acceptor, reason }) => `! not ready: ${named(acceptor)}${reason}`),
    ...degraded.map(({ acceptor, part, reason }) => `! ${part}: ${named(acceptor)}${reason}`),
    ...processes.flatMap((one) =>
      one.why === undefined ? [] : `! ${nameOfProcess(one)} ${one.why}`,
    ),
    ...missing.map(({ acceptor, why }) => `! links of acceptor ${acceptor} are of before: ${why}`),
  ];
  return [...new Set(lines)];
}

function processesOf({ status, processes, intervalMs }: LiveAnswer): string[] {
  const head = ['PROCESS', 'STATE', 'LINKS', 'CPU', 'MEMORY', 'LAG p99', 'IN', 'OUT', 'UP', ''];
  const rows = status.processes.map((one) => {
    const { state, links = '', uptimeMs } = one;
    // Of an acceptor that hands its links over they are its successor's.
    const hasFigures = one.pid !== undefined && !one.isBeside;
    const figures = processes.find(
      ({ role, index }) => role === one.role && index === one.index && hasFigures,
    );
    const age = uptimeMs === undefined ? '' : ageOf(uptimeMs);
    const word = one.why === undefined ? state : `${state}, silent`;
    return [nameOfProcess(one), word, `${links}`, ...figuresOf(figures, intervalMs), age, ''];
  });
  return linesOf([head, ...rows]);
}

function figuresOf(figures: LiveProcess | undefined, intervalMs: number): string[] {
  if (figures === undefined) return ['', '', '', '', ''];
  const { role, cpuShare, rssBytes, lagMs, inPerSecond, outPerSecond } = figures;
  const isKnown = intervalMs > 0;
  const cpu = isKnown ? `${Math.round(100 * cpuShare)}%` : UNKNOWN;
  const own = [cpu, sizeOf(rssBytes), `${lagMs.toFixed(0)} ms`];
  if (role === 'registrar') return [...own, '', ''];
  return [...own, ...[inPerSecond, outPerSecond].map((it) => (isKnown ? rateOf(it) : UNKNOWN))];
}

function sortsOf(sort: TopSort): string {
  const words = TOP_SORTS.map((one) => (one === sort ? `[${one.toUpperCase()}]` : one));
  return `by ${words.join('  ')}  (first letter; q leaves)`;
}

function listOf({ hot, reconnects, errors }: LiveAnswer, sort: TopSort): string[] {
  if (sort === 'comings') return groupsOf(reconnects, 'no device has come and gone again');
  if (sort === 'errors') return groupsOf(errors, 'no link has ended by a fault of its device');
  const links = hot[sort];
  if (links.length === 0) return [NONE[sort]];
  const head = ['DEVICE', 'ACC', 'AGE', 'OUTBOX', 'PAUSED', 'RATE', 'IN FLIGHT', 'PEER', ''];
  return linesOf([head, ...links.map(linkOf)]);
}

const NONE: Readonly<Record<'outbox' | 'paused' | 'rate', string>> = {
  outbox: 'no link has anything waiting for its device',
  paused: 'no link is paused',
  rate: 'no link says anything',
};

function linkOf(link: LinkFacts): string[] {
  const { device, acceptor, ageMs, outboxBytes, paused, pausedMs = 0, inFlight, peer } = link;
  const pause = paused === undefined ? '' : `${paused} ${ageOf(pausedMs)}`;
  const rate = rateOf(link.ratePerSecond);
  const figures = [ageOf(ageMs), sizeOf(outboxBytes), pause, rate, `${inFlight}`, peer, ''];
  return [device || '(not known yet)', `${acceptor}`, ...figures];
}

/** Since the node's acceptors began, of the last ends that they remember. */
function groupsOf(groups: readonly ClosedGroup[], none: string): string[] {
  if (groups.length === 0) return [none];
  const rows = groups.map(({ key, ends, at, reason }) => {
    return [key || '(unknown devices)', `${ends}`, clockOf(at), reason, ''];
  });
  return linesOf([['DEVICE', 'ENDS', 'LAST', 'REASON', ''], ...rows]);
}

function linesOf(rows: readonly (readonly string[])[]): string[] {
  return tableOf(rows).trimEnd().split('\n');
}

function rateOf(perSecond: number): string {
  return `${perSecond >= 10 || perSecond === 0 ? Math.round(perSecond) : perSecond.toFixed(1)}/s`;
}

function tookOf(ms: number): string {
  return ms >= SECOND ? `${(ms / SECOND).toFixed(1)} s` : `${ms.toFixed(1)} ms`;
}

function secondsOf(ms: number): number {
  return Math.max(1, Math.round(ms / SECOND));
}

function sizeOf(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  const at = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const value = bytes / 1024 ** at;
  return `${value >= 10 || at === 0 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}
