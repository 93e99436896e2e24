/**
 * Uplink: EVENTs and REQUESTs of devices to the broker.
 * From: Endpoint, by the `onMessage` of endpoints.ts.  To: Publisher; ACK to the device after the
 * confirm.
 * Bound: a window each for EVENTs and REQUESTs; a link that finds it full is not read. A
 * link has `inFlightMax` messages in both together, EVENTs without an id too.
 */
import type { Clock } from '../../base/clock.ts';
import { bump, type Counters, type DropReason } from '../../base/metrics.ts';
import { type TraceContext, traceContextOf } from '../../base/traceContext.ts';
import type { PublishOptions } from '../../broker/amqp.ts';
import type { Publisher, Publishing } from '../../broker/publisher.ts';
import { type Names, routingKey } from '../../broker/topology.ts';
import type { Event, Request } from '../../wire/message.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { OpenRequest, Requests } from './requests.ts';

const APP_ID = 'owsla';
const CONTENT_TYPE = 'application/octet-stream';

export interface UplinkOptions {
  /** Each on a channel of its own: no REQUEST waits behind an EVENT. */
  readonly publishers: Readonly<Record<'event' | 'request', Publisher>>;
  readonly requests: Requests;
  readonly names: Names;
  /** The queue that replies to this acceptor go to, as of now. */
  readonly replyTo: () => string;
  /** EVENTs outlive the broker's restart, in queues that do. */
  readonly isPersistent: boolean;
  readonly counters: TraceCounters;
  readonly clock: Clock;
}

type TraceCounters = Pick<Counters, 'traceDrops'>;

/** `<connectionId>:<id>`: the message_id of an uplink message, the correlation_id of its reply. */
export function messageIdOf(endpoint: Endpoint, id: number): string {
  return `${endpoint.id}:${id}`;
}

/** What amqplib leaves out where it is undefined. A type, as only that may stand for a record. */
type Headers = {
  device: string;
  connection: string;
  topic: string;
  peer: string;
  receivedAt: number;
  seq: number | undefined;
  at: number | undefined;
  retain: true | undefined;
  deadline: number | undefined;
  resent: true | undefined;
  traceparent: string | undefined;
  tracestate: string | undefined;
};

/**
 * The headers of the message that is being published: amqplib has encoded them when it returns. It
 * makes them another object's prototype, which has V8 rebuild a new object's layout and look up
 * each key the slow way: some 5 µs a message, unless it is always the same object.
 */
const headers: Headers = {
  device: '',
  connection: '',
  topic: '',
  peer: '',
  receivedAt: 0,
  seq: undefined,
  at: undefined,
  retain: undefined,
  deadline: undefined,
  resent: undefined,
  traceparent: undefined,
  tracestate: undefined,
};

/** The properties that EVENT and REQUEST share (docs/amqp.md), good until the next call. */
function properties(uplinked: Uplinked, isResend: boolean): PublishOptions {
  const { endpoint, message, receivedAt } = uplinked;
  headers.device = endpoint.deviceId;
  headers.connection = endpoint.id;
  headers.topic = message.topic;
  headers.peer = uplinked.peer;
  headers.receivedAt = receivedAt;
  headers.seq = message.meta.seq;
  headers.at = message.meta.at;
  headers.retain = message.meta.retain;
  headers.deadline = undefined;
  headers.resent = isResend || undefined;
  headers.traceparent = uplinked.context?.traceparent;
  headers.tracestate = uplinked.context?.tracestate || undefined;
  const shared: PublishOptions = {
    appId: APP_ID,
    contentType: CONTENT_TYPE,
    timestamp: Math.floor(receivedAt / 1_000),
    headers,
  };
  if (message.id !== 0) shared.messageId = messageIdOf(endpoint, message.id);
  return shared;
}

/** For who looks at its link: it is on its way to the broker. */
function sayPublished(
  { endpoint, message }: Uplinked,
  publishing: Pick<Publishing, 'exchange' | 'routingKey'>,
  isResend: boolean,
): void {
  if (endpoint.tap === undefined) return;
  const { exchange, routingKey: key } = publishing;
  const facts = { exchange, routingKey: key, ...(isResend ? { resent: true } : {}) };
  endpoint.tap.onStep(endpoint, { of: 'broker', what: 'published', id: message.id, facts });
}

/** For who looks: what came back. */
function saySettled({ endpoint, message }: Uplinked, what: string, reason?: string): void {
  if (endpoint.tap === undefined) return;
  const why = reason === undefined ? {} : { reason };
  endpoint.tap.onStep(endpoint, { of: 'broker', what, id: message.id, ...why });
}

/** Read once: a message that is published again has the same one, and is counted once. */
function contextOf({ meta }: Event | Request, counters: TraceCounters): TraceContext | undefined {
  const { traceparent, tracestate } = meta;
  if (traceparent === undefined && tracestate === undefined) return undefined;
  return traceContextOf(traceparent, tracestate, (why) => bump(counters.traceDrops, why));
}

/** What EVENTs and REQUESTs have in common on their way to the broker. */
abstract class Uplinked<M extends Event | Request = Event | Request> {
  readonly endpoint: Endpoint;
  readonly message: M;
  readonly peer: string;
  /** Milliseconds since 1970. */
  readonly receivedAt: number;
  /** Of the device's own span. */
  readonly context: TraceContext | undefined;
  protected readonly uplink: UplinkOptions;

  constructor(uplink: UplinkOptions, endpoint: Endpoint, message: M, receivedAt: number) {
    this.uplink = uplink;
    this.context = contextOf(message, uplink.counters);
    this.endpoint = endpoint;
    this.message = message;
    this.peer = endpoint.peer;
    this.receivedAt = receivedAt;
  }

  get routingKey(): string {
    return routingKey(this.endpoint.deviceId, this.message.topic);
  }

  get body(): Buffer {
    return this.message.payload;
  }
}

class EventPublishing extends Uplinked<Event> implements Publishing {
  readonly kind = 'event';
  /** A REQUEST is not timed: nothing confirms it by itself. */
  sentAt = 0;

  get exchange(): string {
    return this.uplink.names.events;
  }

  /** Also after the end of its link, because it was accepted. */
  isWanted(): boolean {
    return true;
  }

  properties(isResend: boolean): PublishOptions {
    const shared = properties(this, isResend);
    shared.type = 'event';
    shared.persistent = this.uplink.isPersistent;
    sayPublished(this, this, isResend);
    return shared;
  }

  onConfirm(): void {
    const { id } = this.message;
    saySettled(this, 'confirmed');
    if (id !== 0) this.endpoint.acknowledge(id);
    this.endpoint.release();
  }

  /** No device waits for one without an id: it is published once, and not retried. */
  onNack(): 'again' | 'drop' {
    saySettled(this, 'nacked');
    return this.message.id === 0 ? 'drop' : 'again';
  }

  /** There is no negative ACK: its device sends it again on its next link. */
  onDrop(reason: DropReason): void {
    saySettled(this, 'dropped', reason);
    this.endpoint.release();
  }
}

class RequestPublishing extends Uplinked<Request> implements Publishing {
  readonly kind = 'request';
  tag = 0;
  readonly #open: OpenRequest;

  constructor(uplink: UplinkOptions, open: OpenRequest, message: Request, receivedAt: number) {
    super(uplink, open.endpoint, message, receivedAt);
    this.#open = open;
  }

  get exchange(): string {
    return this.uplink.names.requests;
  }

  isWanted(): boolean {
    return this.uplink.requests.msLeft(this.#open) > 0;
  }

  /** Once answered or expired, it is never published again, so that no backend acts late. */
  properties(isResend: boolean): PublishOptions | undefined {
    const { requests, clock, replyTo } = this.uplink;
    const msLeft = requests.msLeft(this.#open);
    if (msLeft <= 0) return undefined;
    const shared = properties(this, isResend);
    shared.type = 'request';
    shared.persistent = false;
    shared.mandatory = true;
    shared.correlationId = shared.messageId as string;
    shared.replyTo = replyTo();
    shared.expiration = msLeft;
    headers.deadline = clock.wall() + msLeft;
    sayPublished(this, this, isResend);
    return shared;
  }

  /** It is answered, or its link is over: while it waits for the broker, it gives up its place. */
  withdraw(): void {
    this.uplink.publishers.request.withdraw(this);
  }

  /** It is answered, and that proves more than any confirm. */
  proven(): void {
    this.#open.publishing = undefined;
    this.uplink.publishers.request.proven(this);
  }

  /** The broker had it; now it waits for its reply, and its payload is no longer held for that. */
  onConfirm(): void {
    if (this.#open.publishing === undefined) return;
    saySettled(this, 'confirmed');
    this.#open.publishing = undefined;
  }

  /** RabbitMQ nacks when a bound queue is full (reject-publish) or failed. */
  onNack(): 'drop' {
    saySettled(this, 'nacked');
    return 'drop';
  }

  onDrop(reason: DropReason): void {
    const status = reason === 'refused' ? 'overloaded' : 'failed';
    saySettled(this, 'dropped', reason);
    this.uplink.requests.answerOurselves(this.#open, status);
  }
}

export class Uplink {
  readonly #options: UplinkOptions;

  constructor(options: UplinkOptions) {
    this.#options = options;
  }

  isFull(type: (Event | Request)['type']): boolean {
    const { publishers } = this.#options;
    return (type === 'request' ? publishers.request : publishers.event).isFull();
  }

  /** The broker takes longer to confirm than it does when it has little to do. */
  isSlow(): boolean {
    const { publishers } = this.#options;
    return publishers.request.isSlow || publishers.event.isSlow;
  }

  onMessage(endpoint: Endpoint, message: Event | Request): void {
    const { publishers, requests, clock } = this.#options;
    const receivedAt = clock.wall();
    if (message.type === 'request') {
      const open = requests.open(endpoint, message.id);
      const publishing = new RequestPublishing(this.#options, open, message, receivedAt);
      open.publishing = publishing;
      publishers.request.publish(publishing);
      return;
    }
    endpoint.hold();
    publishers.event.publish(new EventPublishing(this.#options, endpoint, message, receivedAt));
  }

  onEnd(endpoint: Endpoint): void {
    this.#options.requests.forget(endpoint);
  }
}
