/**
 * Dom: elements and tables, made and kept up to date.
 * From: the parts of the page, with texts that devices and backends wrote: only ever as text.
 * To: the document.
 * Bound: a table has as many rows as it is given; no part gives more than 500.
 */

/** Columns that need a line of their own on narrow screens. */
const LONG = ['From', 'Address', 'Why', 'Who a device is', 'Not read'];

export function byId(id) {
  return document.getElementById(id);
}

/** An element with attributes and children; a string among them is text, never markup. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Changes nothing that is so already: a screen reader would say it again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A button that looks like what it says: it opens that device. */
function deviceButton(device) {
  if (device === '') return make('span', { class: 'quiet' }, 'not known yet');
  const open = () => document.dispatchEvent(new CustomEvent('open-device', { detail: device }));
  return make('button', { type: 'button', class: 'device', onclick: open }, device);
}

/** Columns: `{ name, isFigure, isDevice }`. On narrow screens each row becomes a block. */
export function makeTable(place, columns, label) {
  const head = columns.map(({ name, isFigure }) =>
    make('th', { scope: 'col', role: 'columnheader', class: isFigure ? 'figure' : '' }, name),
  );
  const body = make('tbody', { role: 'rowgroup' });
  const none = make('p', { class: 'quiet', hidden: '' });
  const table = make(
    'table',
    { role: 'table', 'aria-label': label },
    make('thead', { role: 'rowgroup' }, make('tr', { role: 'row' }, ...head)),
    body,
  );
  const region = { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label };
  place.replaceChildren(make('div', region, table), none);
  return (rows, whenNone = '') => {
    while (body.rows.length > rows.length) body.lastChild.remove();
    rows.forEach((row, at) => {
      body.rows[at] ?? body.append(emptyRow(columns));
      fillRow(body.rows[at], row, columns);
    });
    table.parentElement.hidden = rows.length === 0;
    none.hidden = rows.length > 0;
    setText(none, whenNone);
  };
}

function emptyRow(columns) {
  const cells = columns.map(({ name, isFigure }) => {
    const kind = isFigure ? 'figure' : LONG.includes(name) ? 'long' : '';
    return make('td', { role: 'cell', 'data-name': name, class: kind });
  });
  return make('tr', { role: 'row' }, ...cells);
}

/** A cell is a text, or `{ text, kind }` where `kind` is its colour. */
function fillRow(row, cells, columns) {
  cells.forEach((cell, at) => {
    const { text, kind = '' } = typeof cell === 'object' ? cell : { text: cell };
    const place = row.cells[at];
    place.dataset.kind = kind;
    // On narrow screens what is zero is left out.
    place.toggleAttribute('data-zero', columns[at].isFigure === true && /^0(?![.,\d])/.test(text));
    if (columns[at].isDevice) {
      if (place.textContent !== text || text === '') place.replaceChildren(deviceButton(text));
    } else setText(place, text);
  });
}

/** A list of `[name, text, kind, note]`. Pairs of the same names are changed in place. */
export function fillFacts(list, facts) {
  const names = [...list.querySelectorAll('dt')].map(({ textContent }) => textContent);
  if (names.join('\n') !== facts.map(([name]) => name).join('\n')) {
    const pairs = facts.map(([name]) =>
      make('div', {}, make('dt', {}, name), make('dd', {}, make('span'), make('small'))),
    );
    list.replaceChildren(...pairs);
  }
  [...list.querySelectorAll('dd')].forEach((place, at) => {
    const [, text, kind = '', note = ''] = facts[at];
    setText(place.firstChild, text);
    setText(place.lastChild, note);
    place.dataset.kind = kind;
  });
}
