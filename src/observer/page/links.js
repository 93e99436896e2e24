/**
 * Links: those that hurt most, live; and all of them, page by page.
 * From: page.js, each answer of the stream; /api/v1/links.  To: the document.
 * Bound: the lists of the stream, or one page of PAGE links: never all.
 */
import { ask, notSaid } from './ask.js';
import { byId, make, makeTable, setText } from './dom.js';
import { END_COLUMNS, endCells } from './ends.js';
import {
  countOf,
  missingOf,
  momentOf,
  pauseOf,
  rateOf,
  reasonOf,
  sizeOf,
  spanOf,
} from './words.js';

const PAGE = 50;
/** Of the stream's lists. */
const HOT = 10;

const LINK_COLUMNS = [
  ...[
    { name: 'Device', isDevice: true },
    { name: 'Acceptor', isFigure: true },
  ],
  ...['Age', 'Waiting for it', 'Rate', 'Under way'].map((name) => ({ name, isFigure: true })),
  ...[{ name: 'Not read' }, { name: 'From' }],
];
const GROUP_COLUMNS = [
  ...[
    { name: 'Device', isDevice: true },
    { name: 'Ends', isFigure: true },
  ],
  ...[{ name: 'Last', isFigure: true }, { name: 'Why' }],
];

const ENDED_COLUMNS = [{ name: 'Device', isDevice: true }, ...END_COLUMNS];

const LISTS = [
  { key: 'rate', name: 'Busiest', note: 'Most messages a second.', none: 'No link says anything.' },
  {
    ...{ key: 'outbox', name: 'Slow to read', note: 'Most bytes that wait for their device.' },
    none: 'Every device reads what is sent to it.',
  },
  {
    ...{ key: 'paused', name: 'Not read', note: 'What the node does not read now, longest first.' },
    none: 'The node reads from every link.',
  },
  {
    ...{ key: 'reconnects', name: 'Come and go', note: 'Devices whose links ended most often.' },
    none: 'No device has come and gone again.',
  },
  {
    ...{ key: 'errors', name: 'Faults', note: 'Devices whose links ended by a fault of theirs.' },
    none: 'No link has ended by a fault of its device.',
  },
  { key: 'ended', name: 'Just ended', note: '', none: 'No link has ended so far.' },
  { key: 'all', name: 'All', note: '', none: 'There is no link.' },
];

let chosen = LISTS[0];
let fill;
let last;
let next;

export function readyLinks() {
  const buttons = LISTS.map((list) =>
    make('button', { type: 'button', onclick: () => choose(list) }, list.name),
  );
  byId('links-by').append(...buttons);
  byId('links-more').addEventListener('click', () => void turn(next));
  mark();
}

export function showLinks(answer) {
  last = answer;
  // A row that somebody points at, or is about to press, stays where it is.
  if (!isPaged(chosen) && !byId('links').matches(':hover, :focus-within')) showList();
}

function choose(list) {
  chosen = list;
  fill = undefined;
  mark();
  byId('links-more').hidden = true;
  if (isPaged(list)) void turn();
  else showList();
}

function mark() {
  LISTS.forEach((list, at) => {
    byId('links-by').children[at].setAttribute('aria-pressed', String(list === chosen));
  });
}

function showList() {
  if (last === undefined) return;
  const { key, note, none } = chosen;
  const isGroup = key === 'reconnects' || key === 'errors';
  const all = isGroup ? last[key].map(groupRow) : last.hot[key].map(linkRow);
  setText(byId('links-note'), note);
  fill ??= makeTable(byId('links'), isGroup ? GROUP_COLUMNS : LINK_COLUMNS, chosen.name);
  fill(all.slice(0, HOT), none);
}

/** A page of all links, or of ended ones, after what the page before ended with. */
async function turn(after) {
  const list = chosen;
  const isEnded = list.key === 'ended';
  const query = new URLSearchParams({ limit: String(PAGE) });
  if (after !== undefined) query.set(isEnded ? 'before' : 'after', after);
  try {
    const answer = await ask(`${isEnded ? 'closed' : 'links'}?${query}`);
    if (chosen !== list) return;
    next = answer.next;
    fill ??= makeTable(byId('links'), isEnded ? ENDED_COLUMNS : LINK_COLUMNS, list.name);
    const rowOf = isEnded ? (one) => [one.device, ...endCells(one)] : linkRow;
    fill(answer.rows.map(rowOf), list.none);
    const place = after === undefined ? 'The first' : 'The next';
    const words = `${place} ${countOf(answer.rows.length)}, as of ${momentOf(Date.now())}.`;
    setText(byId('links-note'), [words, ...missingOf(answer.missing)].join(' '));
    byId('links-more').hidden = next === undefined;
  } catch (error) {
    setText(byId('links-note'), notSaid(error));
  }
}

/** Asked for when it is chosen, not part of the stream. */
function isPaged({ key }) {
  return key === 'all' || key === 'ended';
}

function linkRow(link) {
  const { device, acceptor, ageMs, outboxBytes, ratePerSecond, inFlight, peer, paused } = link;
  return [
    ...[device, String(acceptor), spanOf(ageMs), sizeOf(outboxBytes), rateOf(ratePerSecond)],
    ...[countOf(inFlight), { text: pauseOf(link), kind: paused === undefined ? '' : 'warn' }, peer],
  ];
}

function groupRow({ key, ends, at, reason }) {
  return [key, countOf(ends), momentOf(at), `${reasonOf(reason)} (${reason})`];
}

/** Links of devices whose name begins so: a page of them, in `place`. */
export async function showBeginning(place, beginning) {
  const query = new URLSearchParams({ limit: String(PAGE), where: `device=${beginning}*` });
  const { rows, missing, next: more } = await ask(`links?${query}`);
  const table = make('div');
  const words = [`${countOf(rows.length)} links of devices that begin so.`, ...missingOf(missing)];
  if (more !== undefined) words[0] = `Some links of devices that begin so: there may be more.`;
  place.replaceChildren(make('p', { class: 'quiet' }, words.join(' ')), table);
  makeTable(table, LINK_COLUMNS, 'Found links')(rows.map(linkRow), 'None is connected.');
}
