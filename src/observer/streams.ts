/**
 * Streams: the answers of the HTTP API that go on: the live feed, and the trace of a device.
 * From: requests that admin.ts lets pass.  To: liveStream.ts; nodeTraces.ts, by an EventStream.
 * Bound: theirs. A trace shows what devices say: it needs the token, whoever may read the rest.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { parseDuration, parseWhole } from '../base/units.ts';
import { ChannelError } from '../node/channel.ts';
import { TRACE_DEFAULTS, type TraceEnd } from '../node/traceEntry.ts';
import { guestOf, onApiError } from './api.ts';
import { EventStream, type StreamGuests, sentEvent } from './eventStream.ts';
import { LiveStream } from './liveStream.ts';
import type { Watches } from './watchQuestions.ts';

const TOO_MANY = 429;

interface Asked {
  readonly Params: { readonly device: string };
  readonly Querystring: Readonly<Record<string, string | readonly string[]>>;
}

export interface Streams {
  /** Resolves when all have read that the node stops. */
  close(): Promise<void>;
}

/** Adds the routes. Traces are to be ended before the rest is closed. */
export function addStreams(
  admin: FastifyInstance,
  { live, traces }: Watches,
  guests: StreamGuests,
): Streams {
  const feed = new LiveStream(live, guests);
  const tracing = new Set<EventStream>();
  // No HEAD: what goes on has no end without its body.
  admin.get('/api/v1/stream', { exposeHeadRoute: false }, (request, reply) => {
    reply.hijack();
    feed.begin(request.raw, reply.raw);
  });
  admin.get<Asked>(
    '/api/v1/links/:device/trace',
    { config: { needsToken: true }, exposeHeadRoute: false, errorHandler: onRefused },
    async (request, reply) => {
      const sink = new StreamSink(request.raw, reply.raw, guests);
      const question = questionOf(request.params.device, request.query);
      const [answer, leave] = await traces.begin(question, sink, guestOf(request));
      reply.hijack();
      const stream = sink.begin(answer, leave);
      tracing.add(stream);
      void stream.ended.then(() => tracing.delete(stream));
    },
  );
  return {
    close: async () => {
      await Promise.all([feed.close(), ...[...tracing].map(({ ended }) => ended)]);
    },
  };
}

/** As all questions; but that there are enough traces is for who asks to mend. */
function onRefused(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (!(error instanceof ChannelError) || error.why !== 'busy') {
    return onApiError(error, request, reply);
  }
  return reply.code(TOO_MANY).send({ error: error.message });
}

/** NodeTraces checks it. Throws a ChannelError. */
function questionOf(device: string, query: Asked['Querystring']): unknown {
  const { payloads = '', for: forText, max } = { ...TRACE_DEFAULTS, ...query };
  if (typeof forText !== 'string' || typeof max !== 'string') {
    throw new ChannelError('bad', 'for and max are each given once');
  }
  const isAsked = 'payloads' in query && ['1', 'true', ''].some((one) => one === payloads);
  return { device, payloads: isAsked, forMs: parseDuration(forText), max: parseWhole(max) };
}

/** Entries wait where they came from until there is a stream for them. */
class StreamSink {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #guests: StreamGuests;
  #stream: EventStream | undefined;
  #ended: TraceEnd | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, guests: StreamGuests) {
    this.#request = request;
    this.#response = response;
    this.#guests = guests;
  }

  begin(answer: unknown, leave: () => void): EventStream {
    const stream = new EventStream(this.#request, this.#response, this.#guests, leave);
    this.#stream = stream;
    stream.write(sentEvent('tracing', answer));
    if (this.#ended) this.end(this.#ended);
    return stream;
  }

  take(entries: readonly string[]): boolean {
    // An entry is JSON text: one line.
    return this.#stream?.write(entries.map((entry) => `data: ${entry}\n\n`).join('')) ?? false;
  }

  end(end: TraceEnd): void {
    this.#ended = end;
    this.#stream?.endWith(sentEvent('traced', end));
  }
}
