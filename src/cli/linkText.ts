/**
 * LinkText: links and ended ones as text for a terminal. Pure.
 * From: linkCommands.ts.  To: a terminal.
 * Bound: a line a row.
 */
import type {
  ClosedFacts,
  ClosedGroup,
  LinkAnswer,
  LinkDetail,
  LinkFacts,
} from '../node/linkFacts.ts';
import { ageOf } from './statusWords.ts';
import { tableOf } from './table.ts';

const LINK_HEAD = [
  ...['device', 'acceptor', 'listener', 'peer', 'state', 'age', 'idle', 'rate/s'],
  ...['in flight', 'outbox', 'messages', 'paused', 'connection'],
];
const CLOSED_HEAD = [
  ...['ended', 'device', 'reason', 'lasted', 'messages', 'bytes', 'listener', 'peer', 'why'],
];

export function linksTable(rows: readonly LinkFacts[], hasHead: boolean): string {
  return table(LINK_HEAD, rows.map(linkCells), hasHead);
}

function linkCells(row: LinkFacts): string[] {
  return [
    row.device || '-',
    `${row.acceptor}`,
    row.listener,
    row.peer || '-',
    row.state,
    ageOf(row.ageMs),
    ageOf(row.idleMs),
    row.ratePerSecond.toFixed(1),
    `${row.inFlight}`,
    `${row.outboxBytes}`,
    `${row.messagesIn}/${row.messagesOut}`,
    row.paused === undefined ? '-' : `${row.paused} ${ageOf(row.pausedMs ?? 0)}`,
    row.connection,
  ];
}

export function closedTable(rows: readonly ClosedFacts[], hasHead: boolean): string {
  return table(CLOSED_HEAD, rows.map(closedCells), hasHead);
}

/** Of one that never opened, the device is only what was said: in brackets. */
function closedCells(row: ClosedFacts): string[] {
  const device = row.isProved ? row.device : row.device && `(${row.device})`;
  return [
    new Date(row.at).toISOString(),
    device || '-',
    row.reason,
    ageOf(row.durationMs),
    `${row.messagesIn}/${row.messagesOut}`,
    `${row.bytesIn}/${row.bytesOut}`,
    row.listener,
    row.peer || '-',
    row.why ?? '',
  ];
}

export function groupsTable(groups: readonly ClosedGroup[], hasHead: boolean): string {
  const rows = groups.map(({ key, ends, at, reason }) => [
    `${ends}`,
    key || '-',
    new Date(at).toISOString(),
    reason,
  ]);
  return table(['ends', 'of', 'the last', 'its reason'], rows, hasHead);
}

export function linkText({ device, links, closed, missing }: LinkAnswer): string {
  const silent = missing.length > 0 ? ', as far as acceptors answer' : '';
  const none = `${device} is not connected${silent}\n`;
  const now = links.length === 0 ? none : links.map(detailText).join('\n');
  const ends = closed.length === 0 ? '' : `\n${closedTable(closed, true)}`;
  return `${now}${ends}`;
}

function detailText(link: LinkDetail): string {
  const { identity, topics, paused } = link;
  const ends = identity?.expiresInMs;
  const proof = [identity?.method ?? 'not known', identity?.by ?? ''].filter(Boolean).join(' ');
  const facts: [string, string][] = [
    ['device', link.device],
    ['connection', link.connection],
    ['where', `acceptor ${link.acceptor} (${link.incarnation}), listener ${link.listener}`],
    ['protocol', link.protocol],
    ['peer', link.peer || 'not known'],
    ['state', link.state],
    ['since', `${new Date(link.acceptedAt).toISOString()}, ${ageOf(link.ageMs)}`],
    ['heard', `${ageOf(link.idleMs)} ago; keepalive ${ageOf(link.keepaliveMs)}`],
    ['identity', ends === undefined ? proof : `${proof}, ends in ${ageOf(Math.max(0, ends))}`],
    ['topics', topics === undefined ? 'all' : topics.join('; and: ')],
    ['paused', paused === undefined ? 'no' : `${paused}, for ${ageOf(link.pausedMs ?? 0)}`],
    ['rate', `${link.ratePerSecond.toFixed(1)} messages/s`],
    ['in flight', `${link.inFlight} of ${link.inFlightMax}: REQUESTs ${link.requestsOpen}`],
    ['commands', `${link.commandsOpen} open`],
    ['outbox', `${link.outboxBytes} bytes; memory held ${link.heldBytes}`],
    ['messages', `${link.messagesIn} in, ${link.messagesOut} out`],
    ['bytes', `${link.bytesIn} in, ${link.bytesOut} out`],
    ['not allowed', `${link.notAllowed}`],
  ];
  return tableOf(facts);
}

function table(head: readonly string[], rows: readonly string[][], hasHead: boolean): string {
  return tableOf(hasHead ? [head, ...rows] : rows);
}
