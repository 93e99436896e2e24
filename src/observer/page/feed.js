/**
 * Feed: how the node is, as long as the page is open: the stream, again and again.
 * From: /api/v1/stream.  To: page.js: answers, and whether the page's own connection is there.
 * Bound: one request at a time; after a loss a pause of RETRY_MS, up to RETRY_MAX_MS. A node that
 * says nothing for SILENT_MS counts as lost.
 */
import { needsToken, send, whyOf } from './ask.js';
import { readEvents } from './events.js';

const RETRY_MS = 1_000;
const RETRY_MAX_MS = 10_000;
const SILENT_MS = 8_000;
const LOOK_MS = 1_000;

export class Feed {
  #onAnswer;
  #onLine;
  #aborter = new AbortController();
  #heardAt = 0;
  #pauseMs = RETRY_MS;
  #wake = () => {};
  #why = '';
  /** Since the last try began, somebody has asked for another one. */
  #isWanted = false;

  /** `onLine` is told `live`, `lost` with why and in how many ms it tries again, or `locked`. */
  constructor({ onAnswer, onLine }) {
    this.#onAnswer = onAnswer;
    this.#onLine = onLine;
    setInterval(() => this.#look(), LOOK_MS);
  }

  /** Never ends. */
  async run() {
    for (;;) {
      const isLocked = await this.#once();
      if (this.#isWanted) continue;
      if (isLocked) this.#onLine('locked');
      else this.#onLine('lost', this.#why, this.#pauseMs);
      await new Promise((resolve) => {
        this.#wake = resolve;
        if (!isLocked) setTimeout(resolve, this.#pauseMs);
      });
      this.#pauseMs = Math.min(2 * this.#pauseMs, RETRY_MAX_MS);
    }
  }

  /** Try now: there is another token, or the browser is on line again. */
  again() {
    this.#pauseMs = RETRY_MS;
    this.#isWanted = true;
    this.#wake();
  }

  /** What is read now is read no longer, but anew: with another token, or without. */
  restart() {
    this.#aborter.abort();
    this.again();
  }

  /** True: it wants the token. */
  async #once() {
    this.#isWanted = false;
    this.#aborter = new AbortController();
    this.#heardAt = performance.now();
    this.#why = 'the connection has ended';
    try {
      const response = await send('stream', { signal: this.#aborter.signal });
      await readEvents(response, (name, data) => this.#onEvent(name, data));
    } catch (error) {
      if (needsToken(error)) return true;
      this.#why = error.name === 'AbortError' ? 'the node has gone silent' : whyOf(error);
    }
    return false;
  }

  #onEvent(name, data) {
    this.#heardAt = performance.now();
    if (name === 'end') this.#why = data.why;
    if (name !== 'live') return;
    this.#pauseMs = RETRY_MS;
    this.#onLine('live');
    this.#onAnswer(data);
  }

  #look() {
    if (performance.now() - this.#heardAt > SILENT_MS) this.#aborter.abort();
  }
}
