/**
 * Topology: the names and declarations of every exchange and queue; nobody else spells one.
 * From: the prefix and the limits.  To: link.ts, which declares it on every connect.
 * Bound: each queue has a length, an age, or both; what overflows is dropped oldest first.
 */
import type { Channel } from 'amqplib';
import type { Limits } from '../limits.ts';

export interface Names {
  readonly events: string;
  readonly unrouted: string;
  readonly requests: string;
  /** The reply queue of one acceptor process. */
  readonly acceptor: (incarnation: string) => string;
}

export function names(prefix: string): Names {
  return {
    events: `${prefix}.events`,
    unrouted: `${prefix}.unrouted`,
    requests: `${prefix}.requests`,
    acceptor: (incarnation) => `${prefix}.acceptor.${incarnation}`,
  };
}

/** Bind `*.hvac.#` for a topic of every device, `door-17.#` for all of one device. */
export function routingKey(deviceId: string, topic: string): string {
  return `${deviceId}.${topic}`;
}

/** Declare what devices' messages are published to. Rejects with the broker's 406 or 403. */
export async function declareUplink(channel: Channel, at: Names, limits: Limits): Promise<void> {
  await channel.assertExchange(at.unrouted, 'fanout', { durable: true });
  await channel.assertQueue(at.unrouted, {
    durable: true,
    maxLength: limits.unroutedMax,
    messageTtl: limits.unroutedAgeMs,
    arguments: { 'x-overflow': 'drop-head' },
  });
  await channel.bindQueue(at.unrouted, at.unrouted, '');
  await channel.assertExchange(at.events, 'topic', {
    durable: true,
    alternateExchange: at.unrouted,
  });
  await channel.assertExchange(at.requests, 'topic', { durable: true });
}

/** Declare one acceptor's reply queue. Rejects with the broker's 406 or 403. */
export async function declareReplies(
  channel: Channel,
  queue: string,
  limits: Limits,
): Promise<void> {
  await channel.assertQueue(queue, {
    durable: true,
    expires: limits.replyQueueExpiresMs,
    messageTtl: limits.requestMs,
    maxLength: limits.replyQueueMax,
  });
}
