/**
 * LiveStream: GET /api/v1/stream: how the node is now, again and again, to all who read it.
 * From: live.ts, about once a second while somebody reads.  To: an EventStream each.
 * Bound: one rendering and its bytes for all readers; who has not read the one before misses the
 * next. How many read is bounded as connections are: guests.ts.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { EventStream, type StreamGuests, sentEvent } from './eventStream.ts';
import { LIVE_MS, type Live } from './live.ts';

const END = sentEvent('end', { why: 'the node stops or reloads' });

export class LiveStream {
  readonly #live: Pick<Live, 'read'>;
  readonly #guests: StreamGuests;
  readonly #readers = new Set<EventStream>();
  #ticker: NodeJS.Timeout | undefined;
  #isRendering = false;
  #isClosing = false;

  constructor(live: Pick<Live, 'read'>, guests: StreamGuests) {
    this.#live = live;
    this.#guests = guests;
  }

  /** Takes over the answer. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    const stream: EventStream = new EventStream(request, response, this.#guests, () =>
      this.#leave(stream),
    );
    if (this.#isClosing) {
      stream.endWith(END);
      return;
    }
    this.#readers.add(stream);
    this.#ticker ??= setInterval(() => this.#tick().catch(() => {}), LIVE_MS).unref();
    this.#first(stream).catch(() => {});
  }

  async #first(stream: EventStream): Promise<void> {
    const answer = await this.#live.read();
    stream.write(sentEvent('live', answer));
  }

  async #tick(): Promise<void> {
    if (this.#isRendering) return;
    this.#isRendering = true;
    try {
      const event = Buffer.from(sentEvent('live', await this.#live.read()));
      for (const stream of this.#readers) stream.write(event);
    } finally {
      this.#isRendering = false;
    }
  }

  #leave(stream: EventStream): void {
    this.#readers.delete(stream);
    if (this.#readers.size > 0) return;
    clearInterval(this.#ticker);
    this.#ticker = undefined;
  }

  /** The node stops: said to all; resolves when all have read that. */
  async close(): Promise<void> {
    this.#isClosing = true;
    const readers = [...this.#readers];
    for (const stream of readers) stream.endWith(END);
    await Promise.all(readers.map(({ ended }) => ended));
  }
}
