/**
 * Device: one device: its link, its last ends, and what a person may do to it.
 * From: the search; /api/v1/links/DEVICE, each REFRESH_MS.  To: the document; changes, after a
 * question.
 * Bound: one device at a time; the links and ends that the node gives, at most some tens.
 */
import { ask, notSaid, RefusedError, whyOf } from './ask.js';
import { byId, fillFacts, make, makeTable, setText } from './dom.js';
import { END_COLUMNS, endCells } from './ends.js';
import { showBeginning } from './links.js';
import { question } from './question.js';
import { Tracing } from './trace.js';
import {
  countOf,
  methodOf,
  missingOf,
  momentOf,
  pauseOf,
  rateOf,
  sizeOf,
  spanOf,
} from './words.js';

const REFRESH_MS = 2_000;
const DEVICE_ID = /^[A-Za-z0-9_-]{1,64}$/;
const NOT_THERE = 404;
const SILENT = 503;
/** The last one that a device id may have of each length. */
const HIGHEST = 'z'.repeat(64);

let shown;

export function readyDevice() {
  byId('find-form').addEventListener('submit', (event) => {
    event.preventDefault();
    find(byId('find-device').value.trim());
  });
  document.addEventListener('open-device', ({ detail }) => {
    byId('find-device').value = detail;
    find(detail);
    byId('find-title').scrollIntoView({ block: 'start' });
  });
  setInterval(() => {
    if (!document.hidden) void shown?.refresh();
  }, REFRESH_MS);
}

function find(text) {
  leave();
  if (text.endsWith('*')) {
    showBeginning(byId('found'), text.slice(0, -1)).catch((error) => {
      setText(byId('found'), notSaid(error));
    });
    return;
  }
  if (!DEVICE_ID.test(text)) {
    setText(byId('found'), 'A device has 1 to 64 of the characters A-Z a-z 0-9 _ and -.');
    return;
  }
  shown = new ShownDevice(text);
}

function leave() {
  shown?.close();
  shown = undefined;
  byId('found').replaceChildren();
}

class ShownDevice {
  #device;
  #parts;
  #fillEnds;
  #tracing;
  #isAsking = false;
  #isClosed = false;

  constructor(device) {
    this.#device = device;
    this.#parts = this.#build();
    this.#fillEnds = makeTable(this.#parts.ends, END_COLUMNS, 'Its last ends');
    this.#tracing = new Tracing(device, this.#parts.trace);
    void this.refresh();
    void this.#lookWhetherBlocked();
  }

  close() {
    this.#isClosed = true;
    this.#tracing.stop();
    byId('device').hidden = true;
  }

  #build() {
    const button = (words, onclick) => make('button', { type: 'button', onclick }, words);
    const parts = {
      ...{ state: make('span', { class: 'badge', role: 'status' }), links: make('div') },
      ...{ ends: make('div'), trace: make('div'), said: make('p', { role: 'status' }) },
      disconnect: button('Disconnect …', () => this.#disconnect()),
      block: button('Block …', () => this.#block()),
      unblock: button('Unblock …', () => this.#unblock()),
      blocked: make('p', { 'data-kind': 'warn', hidden: '' }),
    };
    const { state, links, ends, trace, said, disconnect, block, unblock, blocked } = parts;
    byId('device').replaceChildren(
      make('h3', {}, this.#device, ' ', state),
      ...[blocked, links],
      make('div', { class: 'buttons' }, disconnect, block, unblock, button('Close', leave)),
      ...[said, make('h4', {}, 'Its last ends'), ends],
      ...[make('h4', {}, 'What it says, live'), trace],
    );
    byId('device').hidden = false;
    return parts;
  }

  async refresh() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      const answer = await ask(`links/${this.#device}`);
      this.#show(answer, ['connected', 'good'], '');
    } catch (error) {
      const { status, answer = {} } = error instanceof RefusedError ? error : {};
      if (status === NOT_THERE) this.#show(answer, ['not connected', 'warn'], '');
      else if (status === SILENT) this.#show(answer, ['not known now', 'bad'], error.message);
      else this.#show({}, ['not known now', 'bad'], whyOf(error));
    } finally {
      this.#isAsking = false;
    }
  }

  #show({ links = [], closed, missing }, [word, kind], why) {
    if (this.#isClosed) return;
    const { state, disconnect } = this.#parts;
    setText(state, word);
    state.dataset.kind = kind;
    disconnect.disabled = links.length === 0;
    this.#showLinks(
      links,
      [why, ...missingOf(missing)].filter((text) => text !== ''),
    );
    if (closed !== undefined) {
      this.#fillEnds(closed.map(endCells), 'None that the node remembers.');
    }
  }

  #showLinks(links, notes) {
    const place = this.#parts.links;
    const lists = [...place.querySelectorAll('dl')];
    if (lists.length !== links.length || place.children.length === 0) {
      const made = links.map(() => make('dl', { class: 'facts' }));
      place.replaceChildren(make('p', { 'data-kind': 'warn' }), ...made);
    }
    setText(place.querySelector('p'), notes.join('; '));
    [...place.querySelectorAll('dl')].forEach((list, at) => {
      fillFacts(list, factsOf(links[at]));
    });
  }

  /** The first one after what comes right before it. The registrar may be away: then nothing. */
  async #lookWhetherBlocked() {
    const beginning = this.#device.slice(0, -1);
    const before = String.fromCharCode(this.#device.charCodeAt(beginning.length) - 1);
    const after = `${beginning}${before}${HIGHEST}`;
    try {
      const { rows } = await ask(`blocked?${new URLSearchParams({ after })}`);
      const row = rows.find(({ device }) => device === this.#device);
      const { blocked, block, unblock } = this.#parts;
      blocked.hidden = row === undefined;
      block.hidden = row !== undefined;
      unblock.hidden = row === undefined;
      const note = row?.note ? `: ${row.note}` : '';
      if (row !== undefined) setText(blocked, `Blocked since ${momentOf(row.since)}${note}`);
    } catch (error) {
      const { blocked } = this.#parts;
      blocked.hidden = false;
      setText(blocked, `Whether it is blocked cannot be said now: ${whyOf(error)}.`);
    }
  }

  async #disconnect() {
    const device = this.#device;
    const done = await question({
      ...{ title: `Disconnect ${device}?`, yes: 'Disconnect', isGrave: true },
      text: 'Its link is ended. It may connect again at once: block it if it must not.',
      run: () => ask(`links/${device}/disconnect`, { method: 'POST', body: {} }),
    });
    if (done !== undefined) setText(this.#parts.said, `${device} was disconnected.`);
    void this.refresh();
  }

  async #block() {
    const device = this.#device;
    const note = make('input', { id: 'question-note', autocomplete: 'off', maxlength: '200' });
    const done = await question({
      ...{ title: `Block ${device}?`, yes: 'Block', isGrave: true },
      text: 'Its link is ended, and it cannot connect until it is unblocked, on this node.',
      fields: [make('label', { for: 'question-note' }, 'Why, for others (may be empty)'), note],
      run: () => {
        const body = note.value.trim() === '' ? {} : { note: note.value.trim() };
        return ask(`blocked/${device}`, { method: 'POST', body });
      },
    });
    if (done !== undefined) setText(this.#parts.said, `${device} is blocked.`);
    void this.refresh();
    void this.#lookWhetherBlocked();
  }

  async #unblock() {
    const device = this.#device;
    const done = await question({
      ...{ title: `Unblock ${device}?`, yes: 'Unblock', text: 'It may connect again.' },
      run: () => ask(`blocked/${device}`, { method: 'DELETE' }),
    });
    if (done !== undefined) setText(this.#parts.said, `${device} may connect again.`);
    void this.#lookWhetherBlocked();
  }
}

function factsOf(link) {
  const { identity, topics } = link;
  const by = identity?.by === undefined ? '' : ` ${identity.by}`;
  const until =
    identity?.expiresInMs === undefined ? '' : `, for another ${spanOf(identity.expiresInMs)}`;
  return [
    ['State', link.state],
    ['From', link.peer],
    ['Listener', `${link.listener}, ${link.protocol}`],
    ['Acceptor', String(link.acceptor)],
    ['Connected since', `${momentOf(link.acceptedAt)}, ${spanOf(link.ageMs)}`],
    ['Heard', `${spanOf(link.idleMs)} ago, at least every ${spanOf(link.keepaliveMs)}`],
    [
      'Proved by',
      identity === undefined ? 'nothing yet' : `${methodOf(identity.method)}${by}${until}`,
    ],
    ['May publish', topics === undefined ? 'everything' : topics.join(', ')],
    ['Rate', rateOf(link.ratePerSecond)],
    ['Messages', `${countOf(link.messagesIn)} from it, ${countOf(link.messagesOut)} to it`],
    ['Bytes', `${sizeOf(link.bytesIn)} from it, ${sizeOf(link.bytesOut)} to it`],
    ['Under way', `${countOf(link.inFlight)} of ${countOf(link.inFlightMax)}`],
    ['Commands not answered', countOf(link.commandsOpen)],
    ['Waiting for it', sizeOf(link.outboxBytes), link.outboxBytes > 0 ? 'warn' : ''],
    ['Not read', pauseOf(link) || 'it is read', link.paused === undefined ? '' : 'warn'],
    ['Connection', link.connection],
  ];
}
