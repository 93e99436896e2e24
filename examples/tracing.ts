/**
 * tracing.ts - a backend whose spans join those of devices and of other backends: OpenTelemetry.
 *
 *   npm install @opentelemetry/api @opentelemetry/core @opentelemetry/sdk-trace-base
 *   OWSLA_AMQP=amqp://127.0.0.1 node examples/tracing.ts
 *
 * Every REQUEST is answered within a span: a child of the device's, where the device gave one in
 * its `meta`. Before that the light at the door is switched on: a COMMAND to the same device, with
 * this span in its headers, which the device gets in `meta`. The command's outcomes carry it too.
 * Each span that ends is a line of JSON here; yours go to a collector. tracing.rb is the same in
 * Ruby, docs/amqp.md has the rest.
 * Bound: 64 requests are held at a time.
 */
import { randomUUID } from 'node:crypto';
import { type Context, ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import { ExportResultCode, W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  BasicTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base';
import { type Channel, type ConsumeMessage, connect } from 'amqplib';

const url = process.env.OWSLA_AMQP ?? 'amqp://127.0.0.1';
const prefix = process.env.OWSLA_PREFIX ?? 'owsla';
const COMMAND_MS = 5_000;

/** In its place: OTLPTraceExporter of @opentelemetry/exporter-trace-otlp-http. */
const exporter: SpanExporter = {
  export(spans, done) {
    for (const span of spans) console.log(JSON.stringify(lineOf(span)));
    done({ code: ExportResultCode.SUCCESS });
  },
  shutdown: async () => {},
};

function lineOf(span: ReadableSpan) {
  const { traceId, spanId } = span.spanContext();
  return { name: span.name, traceId, spanId, parent: span.parentSpanContext?.spanId };
}

const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
const tracer = provider.getTracer('owsla-example');
const w3c = new W3CTraceContextPropagator();

/** The sender's span, out of a message's headers. Owsla uses the names of the standard. */
function spanIn({ properties }: ConsumeMessage): Context {
  return w3c.extract(ROOT_CONTEXT, properties.headers ?? {}, {
    keys: (headers) => Object.keys(headers),
    get: (headers, key) => headers[key]?.toString(),
  });
}

/** Headers that carry the span of `context`. */
function headersWith(context: Context): Record<string, string> {
  const headers: Record<string, string> = {};
  w3c.inject(context, headers, {
    set: (into, key, value) => Object.assign(into, { [key]: value }),
  });
  return headers;
}

async function answer(channel: Channel, request: ConsumeMessage): Promise<void> {
  const { replyTo, correlationId, headers } = request.properties;
  const span = tracer.startSpan('answer', { kind: SpanKind.SERVER }, spanIn(request));
  light(channel, String(headers?.device), trace.setSpan(ROOT_CONTEXT, span));
  channel.sendToQueue(replyTo, request.content, { correlationId });
  channel.ack(request);
  span.end();
}

function light(channel: Channel, device: string, context: Context): void {
  const span = tracer.startSpan('light', { kind: SpanKind.PRODUCER }, context);
  channel.publish(`${prefix}.commands`, device, Buffer.from('on'), {
    type: 'light.switch',
    messageId: randomUUID(),
    replyTo: 'amq.rabbitmq.reply-to',
    deliveryMode: 1,
    headers: {
      deadline: Date.now() + COMMAND_MS,
      ...headersWith(trace.setSpan(context, span)),
    },
  });
  span.end();
}

/** A command's outcome: on its way nothing was held here, and yet the spans join. */
function onOutcome(outcome: ConsumeMessage): void {
  const name = `outcome ${outcome.properties.type}`;
  tracer.startSpan(name, { kind: SpanKind.CONSUMER }, spanIn(outcome)).end();
}

const link = await connect(url);
const channel = await link.createChannel();
await channel.prefetch(64);
await channel.consume('amq.rabbitmq.reply-to', (outcome) => outcome && onOutcome(outcome), {
  noAck: true,
});
const { queue } = await channel.assertQueue('', { exclusive: true });
await channel.bindQueue(queue, `${prefix}.requests`, '#');
await channel.consume(queue, (request) => {
  if (request) void answer(channel, request);
});
console.log('ready');
