/**
 * Shards: the 256 parts of all links, as a map of 16 by 16: darker holds more.
 * From: page.js, each answer of the stream.  To: the document. Arrow keys and pointer pick one.
 * Bound: 256 fields.
 */
import { byId, make, setText } from './dom.js';
import { countOf } from './words.js';

const SIDE = 16;
const LEVELS = 8;
const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -SIDE, ArrowDown: SIDE };

let counts = [];
let picked = -1;

export function readyShards() {
  const map = byId('shards');
  const fields = Array.from({ length: SIDE * SIDE }, (_, at) => make('i', { 'data-at': at }));
  map.append(...fields);
  map.setAttribute('role', 'img');
  map.tabIndex = 0;
  map.addEventListener('pointermove', ({ target }) => pick(Number(target.dataset.at ?? -1)));
  map.addEventListener('pointerleave', () => pick(-1));
  map.addEventListener('blur', () => pick(-1));
  map.addEventListener('keydown', (event) => {
    const step = STEPS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = picked < 0 ? 0 : picked + step;
    if (next >= 0 && next < fields.length) pick(next);
  });
}

export function showShards({ shards, status }) {
  counts = shards;
  const most = Math.max(...shards, 1);
  const least = Math.min(...shards);
  const fields = byId('shards').children;
  shards.forEach((count, at) => {
    fields[at].dataset.level = String(Math.ceil((LEVELS * count) / most));
  });
  const sum = shards.reduce((all, count) => all + count, 0);
  const label = `${countOf(least)} to ${countOf(most)} links in a shard, ${countOf(sum)} in all`;
  byId('shards').setAttribute('aria-label', sum === 0 && status.links === 0 ? 'no links' : label);
  say();
}

function pick(at) {
  byId('shards').children[picked]?.removeAttribute('data-picked');
  picked = at;
  byId('shards').children[picked]?.setAttribute('data-picked', '');
  say();
}

function say() {
  const label = byId('shards').getAttribute('aria-label') ?? '';
  setText(byId('shard'), picked < 0 ? label : `shard ${picked}: ${countOf(counts[picked])} links`);
}
