/**
 * Both ways between links and broker, put together as in an acceptor: uplink and downlink with
 * their publisher and requests, between fake endpoints and a scripted channel.
 * From: tests of the routes.  To: src/acceptor/route and src/broker.
 * Bound: time moves only by `pass`.
 */
import type { Endpoint } from '../../../src/acceptor/endpoint/endpoint.ts';
import { Registry } from '../../../src/acceptor/endpoint/registry.ts';
import { publishCounts } from '../../../src/acceptor/publishCounts.ts';
import { Downlink } from '../../../src/acceptor/route/downlink.ts';
import { Requests } from '../../../src/acceptor/route/requests.ts';
import { messageIdOf, Uplink } from '../../../src/acceptor/route/uplink.ts';
import { type LimitName, makeLimits } from '../../../src/base/limits.ts';
import { makeCounters } from '../../../src/base/metrics.ts';
import { Publisher } from '../../../src/broker/publisher.ts';
import { names } from '../../../src/broker/topology.ts';
import { MESSAGE_TYPES, type Message, TYPE } from '../../../src/wire/message.ts';
import { V1Protocol } from '../../../src/wire/v1Protocol.ts';
import { FakeClock } from '../fakes/clock.ts';
import { event, request } from '../fakes/device.ts';
import { type Delivered, delivery, FakeChannel } from '../fakes/fakeChannel.ts';

/** What the routes know of an endpoint; it records what it is sent. */
export class FakeEndpoint {
  readonly id: string;
  readonly deviceId: string;
  readonly peer = '127.0.0.1:40000';
  frameBytesMax = 65_536;
  inFlight = 0;
  isLive = true;
  readonly sent: Message[] = [];

  constructor(number: number) {
    this.id = `${number.toString(16).padStart(8, '0')}-1234-4abc-9def-0123456789ab`;
    this.deviceId = `door-${number}`;
  }

  hold(): void {
    this.inFlight += 1;
  }

  release(): void {
    this.inFlight -= 1;
  }

  get replyBytesMax(): number {
    return new V1Protocol(this.frameBytesMax).replyBytesMax(Number.POSITIVE_INFINITY);
  }

  acknowledge(id: number): void {
    this.#send({ type: TYPE.ACK, id });
  }

  reply(id: number, status: number, payload: Buffer): void {
    this.#send({ type: TYPE.REPLY, id, status, payload });
  }

  /** As the real one: when it is over nothing is sent. */
  #send(message: Message): void {
    if (this.isLive) this.sent.push(message);
  }

  get asEndpoint(): Endpoint {
    return this as unknown as Endpoint;
  }
}

export class Paths {
  readonly clock = new FakeClock();
  readonly counters = makeCounters(MESSAGE_TYPES);
  readonly registry = new Registry<Endpoint>();
  readonly requests: Requests;
  readonly publisher: Publisher;
  readonly uplink: Uplink;
  readonly downlink: Downlink;
  channel = new FakeChannel();
  #links = 0;

  constructor(overrides: Partial<Record<LimitName, number>> = {}) {
    const limits = makeLimits(overrides);
    const { counters, clock } = this;
    this.requests = new Requests({ limits, counters, clock });
    this.downlink = new Downlink({
      registry: this.registry,
      requests: this.requests,
      counters,
    });
    this.publisher = new Publisher({
      limits,
      counts: publishCounts(counters),
      onRoom: () => {},
      onReturn: (messageId) => this.downlink.onReturn(messageId),
    });
    this.uplink = new Uplink({
      publishers: { event: this.publisher, request: this.publisher },
      requests: this.requests,
      names: names('owsla'),
      replyTo: () => 'owsla.acceptor.n1-1',
      isPersistent: true,
      counters,
      clock,
    });
    this.publisher.open(this.channel);
  }

  link(): FakeEndpoint {
    this.#links += 1;
    const endpoint = new FakeEndpoint(this.#links);
    this.registry.register(endpoint.asEndpoint);
    return endpoint;
  }

  /** The link is over. */
  end(endpoint: FakeEndpoint): void {
    endpoint.isLive = false;
    this.registry.unregister(endpoint.asEndpoint);
    this.uplink.onEnd(endpoint.asEndpoint);
  }

  event(from: FakeEndpoint, id: number, topic?: string, text?: string): void {
    this.uplink.onMessage(from.asEndpoint, event(id, topic, text) as never);
  }

  /** Receive a REQUEST; returns the correlation id its reply must have. */
  request(from: FakeEndpoint, id: number, topic?: string, text?: string): string {
    this.uplink.onMessage(from.asEndpoint, request(id, topic, text) as never);
    return messageIdOf(from.asEndpoint, id);
  }

  /** A backend's reply arrives. */
  reply(given: Delivered): void {
    this.downlink.onDelivery(delivery(1, given));
  }

  pass(ms: number): void {
    this.clock.advance(ms);
    this.requests.tick();
  }

  loseChannel(): void {
    this.publisher.down();
  }

  reopen(): FakeChannel {
    this.channel = new FakeChannel();
    this.publisher.open(this.channel);
    return this.channel;
  }
}
