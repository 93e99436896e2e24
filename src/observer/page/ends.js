/**
 * Ends: why links ended: counted over five minutes; and how an ended link is told.
 * From: page.js, each answer of the stream; answers of /api/v1/closed.  To: the document.
 * Bound: the counts of ANSWERS answers.
 */
import { byId, make, setText } from './dom.js';
import { countOf, momentOf, reasonOf, sizeOf, spanOf } from './words.js';

const ANSWERS = 300;
/** Of a device's own ends. */
export const END_COLUMNS = [
  ...[{ name: 'Ended', isFigure: true }, { name: 'Why' }, { name: 'Lasted', isFigure: true }],
  ...[{ name: 'Bytes', isFigure: true }, { name: 'From' }],
];

const counted = [];

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
  return make('li', {}, make('span'), make('code'), make('b'), bar);
}

/** A row of END_COLUMNS. */
export function endCells({ at, reason, why, durationMs, bytesIn, bytesOut, peer }) {
  const because = why === undefined ? reasonOf(reason) : `${reasonOf(reason)}: ${why}`;
  return [
    ...[momentOf(at), `${because} (${reason})`, spanOf(durationMs)],
    ...[sizeOf(bytesIn + bytesOut), peer],
  ];
}
