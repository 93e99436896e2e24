/**
 * Ends: why links ended: counted over five minutes, and the latest ones if asked for.
 * From: page.js, each answer of the stream; /api/v1/closed.  To: the document.
 * Bound: the counts of ANSWERS answers; the latest LATEST ends.
 */
import { ask, whyOf } from './ask.js';
import { byId, make, makeTable, setText } from './dom.js';
import { countOf, missingOf, momentOf, reasonOf, sizeOf, spanOf } from './words.js';

const ANSWERS = 300;
const LATEST = 50;
const COLUMNS = [
  ...[{ name: 'Device', isDevice: true }, { name: 'Ended', isFigure: true }, { name: 'Why' }],
  ...[{ name: 'Lasted', isFigure: true }, { name: 'Bytes', isFigure: true }, { name: 'From' }],
];

const counted = [];
let fill;

export function showEnds({ ends }) {
  counted.push(ends);
  if (counted.length > ANSWERS) counted.shift();
  const sums = new Map();
  for (const [reason, count] of counted.flatMap(Object.entries)) {
    sums.set(reason, (sums.get(reason) ?? 0) + count);
  }
  const rows = [...sums].sort(([, a], [, b]) => b - a);
  showBars(rows);
}

function showBars(rows) {
  const place = byId('ends');
  if (rows.length === 0) {
    place.replaceChildren(make('p', { class: 'quiet' }, 'None has ended.'));
    return;
  }
  const list = place.querySelector('ul') ?? make('ul', { class: 'bars' });
  if (list.parentElement === null) place.replaceChildren(list);
  const [[, most]] = rows;
  while (list.children.length > rows.length) list.lastChild.remove();
  rows.forEach(([reason, count], at) => {
    const item = list.children[at] ?? list.appendChild(emptyBar());
    const [word, code, figure, bar] = item.children;
    setText(word, reasonOf(reason));
    setText(code, reason);
    setText(figure, countOf(count));
    bar.value = count / most;
  });
}

function emptyBar() {
  const bar = make('progress', { max: '1', 'aria-hidden': 'true' });
  return make('li', {}, make('span'), make('code'), make('b', { class: 'figure' }), bar);
}

/** A row of COLUMNS, but for the device. */
export function endCells({ at, reason, why, durationMs, bytesIn, bytesOut, peer }) {
  const because = why === undefined ? reasonOf(reason) : `${reasonOf(reason)}: ${why}`;
  return [
    ...[momentOf(at), `${because} (${reason})`, spanOf(durationMs)],
    ...[sizeOf(bytesIn + bytesOut), peer],
  ];
}

export const END_COLUMNS = COLUMNS.slice(1);

export function readyEnds() {
  const place = byId('latest-ends');
  const note = make('p', { class: 'quiet', role: 'status' });
  const table = make('div');
  byId('latest').addEventListener('click', async () => {
    if (fill === undefined) {
      place.append(note, table);
      fill = makeTable(table, COLUMNS, 'Links that ended last');
    }
    setText(byId('latest'), 'Show the latest again');
    try {
      const { rows, missing } = await ask(`closed?limit=${LATEST}`);
      setText(note, missingOf(missing).join('; '));
      const shown = rows.slice(0, LATEST);
      fill(
        shown.map((one) => [one.device, ...endCells(one)]),
        'No link has ended so far.',
      );
    } catch (error) {
      setText(note, `It cannot be said now: ${whyOf(error)}.`);
    }
  });
}
