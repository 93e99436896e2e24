/**
 * Requests: the REQUESTs that are open, so that each is answered exactly once.
 * From: uplink opens one; a reply, a return, a nack or the deadline answers it.  To: the endpoint.
 * Bound: `inFlightMax` per link, `requestMs` each; then Owsla answers with status 1. What is
 * answered gives up its place among the messages that wait for the broker.
 */

import type { Clock } from '../../base/clock.ts';
import { Deadlines } from '../../base/deadlines.ts';
import { STATUS } from '../../base/errors.ts';
import { observeSince, ticks } from '../../base/histogram.ts';
import type { Limits } from '../../base/limits.ts';
import { bump, type Counters } from '../../base/metrics.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';

const EMPTY = Buffer.alloc(0);

/** A message that waits to be sent to the broker, or for its confirm. */
interface WayToBroker {
  /** It is no longer wanted. */
  withdraw(): void;
  /** The broker had it, as its answer came. */
  proven(): void;
}

export interface OpenRequest {
  readonly endpoint: Endpoint;
  readonly id: number;
  /** When it expires, in the clock's monotonic ms. */
  readonly due: number;
  /** When it was read: histogram.ts. */
  readonly begun: number;
  /** Its way to the broker; set by the uplink, and cleared when the broker is known to have it. */
  publishing: WayToBroker | undefined;
}

/** Statuses that Owsla gives itself. */
export type OwnStatus = 'timedOut' | 'unroutable' | 'overloaded' | 'failed';

export interface RequestsOptions {
  readonly limits: Limits;
  readonly counters: Counters;
  readonly clock: Clock;
  /** One was not answered in time, or refused by a queue. */
  readonly onFailed?: () => void;
}

export class Requests {
  readonly #counters: Counters;
  readonly #clock: Clock;
  readonly #requestMs: number;
  readonly #onFailed: () => void;
  readonly #deadlines: Deadlines<OpenRequest>;
  readonly #byEndpoint = new Map<Endpoint, Map<number, OpenRequest>>();

  constructor({ limits, counters, clock, onFailed = () => {} }: RequestsOptions) {
    this.#onFailed = onFailed;
    this.#counters = counters;
    this.#clock = clock;
    this.#requestMs = limits.requestMs;
    this.#deadlines = new Deadlines(limits.requestMs, (request) => {
      this.answerOurselves(request, 'timedOut');
    });
  }

  get size(): number {
    return this.#deadlines.size;
  }

  /** A REQUEST was received. Ids rise on a link, so the id is not open already. */
  open(endpoint: Endpoint, id: number): OpenRequest {
    const now = this.#clock.now();
    const due = now + this.#requestMs;
    const request = { endpoint, id, due, begun: ticks(), publishing: undefined };
    let ofEndpoint = this.#byEndpoint.get(endpoint);
    if (ofEndpoint === undefined) {
      ofEndpoint = new Map();
      this.#byEndpoint.set(endpoint, ofEndpoint);
    }
    ofEndpoint.set(id, request);
    this.#deadlines.add(request, now);
    this.#counters.requestsOpen = this.size;
    endpoint.hold();
    return request;
  }

  /** Those of one link. */
  openOf(endpoint: Endpoint): number {
    return this.#byEndpoint.get(endpoint)?.size ?? 0;
  }

  find(endpoint: Endpoint, id: number): OpenRequest | undefined {
    return this.#byEndpoint.get(endpoint)?.get(id);
  }

  /** Milliseconds left, 0 or less when it is answered or expired. */
  msLeft(request: OpenRequest): number {
    const isOpen = this.find(request.endpoint, request.id) === request;
    return isOpen ? request.due - this.#clock.now() : 0;
  }

  /** Send the one REPLY. Returns false when the request was answered already. */
  answer(request: OpenRequest, status: number, payload: Buffer): boolean {
    const { endpoint, id } = request;
    const ofEndpoint = this.#byEndpoint.get(endpoint);
    if (ofEndpoint?.get(id) !== request) return false;
    ofEndpoint.delete(id);
    // A link that asks once an hour keeps no map in between.
    if (ofEndpoint.size === 0) this.#byEndpoint.delete(endpoint);
    this.#deadlines.delete(request);
    this.#counters.requestsOpen = this.size;
    endpoint.reply(id, status, payload);
    this.#withdraw(request);
    endpoint.release(payload.length);
    return true;
  }

  /** The same by its backend, which took so long. */
  answerFor(request: OpenRequest, status: number, payload: Buffer): boolean {
    const { publishing } = request;
    const isFirst = this.answer(request, status, payload);
    if (!isFirst) return false;
    observeSince(this.#counters.requestSeconds, request.begun);
    publishing?.proven();
    return true;
  }

  /** The same with a status of Owsla's own. Only one of them says how long a backend takes. */
  answerOurselves(request: OpenRequest, status: OwnStatus): boolean {
    const isFirst = this.answer(request, STATUS[status], EMPTY);
    if (!isFirst) return false;
    bump(this.#counters.ownReplies, status);
    if (status === 'timedOut' || status === 'overloaded') this.#onFailed();
    if (status === 'timedOut') observeSince(this.#counters.requestSeconds, request.begun);
    return true;
  }

  /** The link has ended: its answers are not needed. */
  forget(endpoint: Endpoint): void {
    const ofEndpoint = this.#byEndpoint.get(endpoint);
    if (ofEndpoint === undefined) return;
    this.#byEndpoint.delete(endpoint);
    for (const request of ofEndpoint.values()) this.#deadlines.delete(request);
    this.#counters.requestsOpen = this.size;
    for (const request of ofEndpoint.values()) this.#withdraw(request);
  }

  #withdraw({ publishing }: OpenRequest): void {
    publishing?.withdraw();
  }

  /** Answer what is overdue. */
  tick(): void {
    this.#deadlines.sweep(this.#clock.now());
  }
}
