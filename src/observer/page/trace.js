/**
 * Trace: what one device says, as it says it.
 * From: /api/v1/links/DEVICE/trace, once a person has started it.  To: the document.
 * Bound: the last ENTRIES entries; drawn at most once each DRAW_MS; it ends by itself after FOR.
 */
import { hasToken, send, whyOf } from './ask.js';
import { make, setText } from './dom.js';
import { readEvents } from './events.js';
import { question } from './question.js';
import { preciseTimeOf, sizeOf } from './words.js';

const ENTRIES = 500;
const DRAW_MS = 500;
const FOR = '5m';
const FOR_WORDS = '5 minutes';
/** Code points of control characters but tab and line feed. */
const UNREADABLE = /[^\P{Cc}\t\n]/u;

const KINDS = {
  in: ['from it', '→'],
  out: ['to it', '←'],
  broker: ['broker', '·'],
  command: ['command', '·'],
  link: ['link', '='],
  lost: ['lost', '!'],
};

export class Tracing {
  #device;
  #start;
  #payloads;
  #note = make('p', { class: 'quiet', role: 'status' });
  #list = make('ol', { class: 'trace', tabindex: '0', 'aria-label': 'Messages, the latest last' });
  #waiting = [];
  #timer;
  #aborter;

  constructor(device, place) {
    this.#device = device;
    this.#start = make('button', { type: 'button', onclick: () => this.#press() }, 'Start');
    this.#payloads = make('input', { type: 'checkbox' });
    this.#list.hidden = true;
    const choice = make('label', { class: 'check' }, this.#payloads, ' with what is in them');
    place.append(make('div', { class: 'buttons' }, this.#start, choice), this.#note, this.#list);
  }

  stop() {
    this.#aborter?.abort();
    this.#aborter = undefined;
  }

  #press() {
    if (this.#aborter !== undefined) this.stop();
    else void this.#begin();
  }

  async #begin() {
    const query = new URLSearchParams({ for: FOR });
    if (this.#payloads.checked) query.set('payloads', '1');
    const path = `links/${this.#device}/trace?${query}`;
    const aborter = new AbortController();
    // From now on it can be left: acceptors may take a while to be told.
    this.#aborter = aborter;
    setText(this.#start, 'Stop');
    const open = () => send(path, { signal: aborter.signal });
    try {
      const response = hasToken()
        ? await open()
        : await question({
            ...{ title: `Read what ${this.#device} says?`, yes: 'Start', run: open },
            text: 'What a device says is shown only to those who have the token.',
          });
      if (response === undefined) return;
      this.#onBegun();
      await readEvents(response, (name, data) => this.#onEvent(name, data));
    } catch (error) {
      const isLeft = error.name === 'AbortError';
      setText(this.#note, isLeft ? 'Stopped.' : `The trace has ended: ${whyOf(error)}.`);
    } finally {
      this.#onOver(aborter);
    }
  }

  #onBegun() {
    this.#list.replaceChildren();
    this.#list.hidden = false;
    this.#payloads.disabled = true;
    setText(this.#note, 'Waiting for the next message …');
  }

  #onOver(aborter) {
    aborter.abort();
    this.#aborter = undefined;
    this.#payloads.disabled = false;
    setText(this.#start, 'Start');
    this.#draw();
  }

  #onEvent(name, data) {
    if (name === 'tracing') this.#sayArmed(data);
    if (name === 'traced') setText(this.#note, `The trace has ended: ${data.sentence}.`);
    if (name !== '' || data === undefined) return;
    this.#waiting.push(data);
    if (this.#waiting.length > ENTRIES) this.#waiting.shift();
    this.#timer ??= setTimeout(() => this.#draw(), DRAW_MS);
  }

  #sayArmed({ connected, unarmed }) {
    const silent = unarmed.map(({ acceptor, why }) => `acceptor ${acceptor} not yet: ${why}`);
    const where = connected.length === 0 ? 'It is not connected; once it is, it is heard.' : '';
    setText(
      this.#note,
      [`Listening for ${FOR_WORDS}.`, where, ...silent].filter(Boolean).join(' '),
    );
  }

  #draw() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const list = this.#list;
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    list.append(...this.#waiting.map(lineOf));
    this.#waiting = [];
    while (list.children.length > ENTRIES) list.firstChild.remove();
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  }
}

function lineOf(entry) {
  const { at, kind, what, id, topic, bytes, status, reason, facts = {}, payload } = entry;
  const [word, sign] = KINDS[kind] ?? [kind, ''];
  const parts = [
    ...[what, id === undefined ? '' : String(id), topic ?? ''],
    status === undefined ? '' : `status ${status}`,
    ...[reason ?? '', bytes === undefined ? '' : sizeOf(bytes)],
    ...Object.entries(facts).map(([name, value]) => `${name} ${value}`),
  ];
  const line = make(
    'li',
    { 'data-kind': kind },
    make('time', {}, preciseTimeOf(at)),
    make('span', { class: 'way' }, `${sign} ${word}`),
    make('span', { class: 'what' }, parts.filter((part) => part !== '').join('  ')),
  );
  if (payload !== undefined) line.append(make('pre', {}, payloadOf(payload)));
  return line;
}

/** As text where it is text, else its bytes. */
function payloadOf(base64) {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (!UNREADABLE.test(text)) return text;
  } catch {
    // No text.
  }
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}
