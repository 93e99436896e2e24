/**
 * EventStream: one HTTP answer that goes on: server-sent events, to one who reads them.
 * From: liveStream.ts, streams.ts.  To: the socket of a guest (guests.ts).
 * Bound: it is given nothing more while the kernel has not taken all of it; one for which that goes
 * on for `adminStallMs` is closed by guests.ts, as everybody who does not read an answer. A comment
 * each `beatMs` shows a reader that there is life, and finds those who are gone.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Guests } from './guests.ts';

const BEAT = ': alive\n\n';

const HEAD = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  // Proxies that put answers together would hold this one for ever.
  'x-accel-buffering': 'no',
};

/** Guests, as a stream needs them. */
export type StreamGuests = Pick<Guests, 'progressed' | 'beatMs'>;

export class EventStream {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #guests: StreamGuests;
  readonly #beat: NodeJS.Timeout;
  /** It was read to its end, or nobody reads it any more. */
  readonly ended: Promise<void>;

  /** Takes over the answer; `onClose`: nobody reads any more. */
  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    guests: StreamGuests,
    onClose: () => void,
  ) {
    this.#request = request;
    this.#response = response;
    this.#guests = guests;
    this.#beat = setInterval(() => this.write(BEAT), guests.beatMs).unref();
    const isGone = request.socket.destroyed;
    this.ended = new Promise((resolve) => {
      response.once('finish', resolve).once('close', resolve);
      if (isGone) resolve();
    });
    response.once('close', () => {
      clearInterval(this.#beat);
      onClose();
    });
    response.on('error', () => {});
    if (isGone) {
      // While this was being prepared: 'close' has been.
      clearInterval(this.#beat);
      queueMicrotask(onClose);
    }
    response.writeHead(200, HEAD);
    response.flushHeaders();
  }

  /** False, and skipped, while what was written before is not taken. */
  write(events: string | Uint8Array): boolean {
    if (this.#response.writableLength > 0 || this.#response.writableEnded) return false;
    this.#guests.progressed(this.#request.socket);
    this.#response.write(events);
    return true;
  }

  /** The last event. */
  endWith(event: string): void {
    this.#response.end(event);
  }
}

/** Several lines of data are one event. */
export function sentEvent(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
