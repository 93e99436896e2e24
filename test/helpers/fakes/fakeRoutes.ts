/**
 * Routes for tests: record what endpoints hand on, hold it, and release it by hand.
 * From: Endpoints.  To: the test's assertions; `release` stands for a confirm or a reply.
 * Bound: `room` messages are taken, then `isFull` holds until the test sets it again.
 */
import type { Endpoint } from '../../../src/acceptor/endpoint/endpoint.ts';
import type { Presence, Refusals, Routes } from '../../../src/acceptor/endpoint/routes.ts';
import type { Ack, Event, Request, Result } from '../../../src/wire/message.ts';

/** For endpoints whose links and refusals are nobody's concern. */
export const NOBODY_TOLD: Presence & Refusals = {
  onUp: () => {},
  onDown: () => {},
  onRefusal: () => {},
};

export interface Handed {
  readonly endpoint: Endpoint;
  readonly message: Event | Request;
}

export class FakeRoutes implements Routes {
  isSlow(): boolean {
    return false;
  }

  readonly handed: Handed[] = [];
  readonly answers: (Ack | Result)[] = [];
  readonly ready: Endpoint[] = [];
  readonly ended: Endpoint[] = [];
  /** Messages with an id that were handed on and not yet released, the oldest first. */
  readonly held: Handed[] = [];
  room = Number.POSITIVE_INFINITY;

  isFull(): boolean {
    return this.room <= 0;
  }

  onMessage(endpoint: Endpoint, message: Event | Request): void {
    this.room -= 1;
    this.handed.push({ endpoint, message });
    if (message.id === 0) return;
    endpoint.hold();
    this.held.push({ endpoint, message });
  }

  onReady(endpoint: Endpoint): void {
    this.ready.push(endpoint);
  }

  onAnswer(_endpoint: Endpoint, message: Ack | Result): void {
    this.answers.push(message);
  }

  onEnd(endpoint: Endpoint): void {
    this.ended.push(endpoint);
  }

  /** Settle the oldest `count` messages, as a confirm or a reply does. */
  release(count = 1): void {
    for (const { endpoint } of this.held.splice(0, count)) endpoint.release();
  }

  /** Ids handed on, in order; of one device when one is named. */
  ids(deviceId?: string): number[] {
    return this.handed
      .filter(({ endpoint }) => deviceId === undefined || endpoint.deviceId === deviceId)
      .map(({ message }) => message.id);
  }
}
