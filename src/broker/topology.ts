/**
 * Topology: the names and declarations of every exchange and queue, in this file only.
 * From: the prefix and the limits.
 * To: acceptorBroker.ts and registrarBroker.ts, which declare it on every connect and again every
 * `topologyMs`; preflight.ts, which proves it at the start.
 * Bound: each queue has a length, an age, or both; what overflows is dropped oldest first, but
 * commands are refused to their sender.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Limits } from '../base/limits.ts';
import type { QueueType } from '../base/options.ts';
import type { AmqpChannel, AmqpModel } from './amqp.ts';

/** AMQP's 404. */
const NOT_FOUND = 404;
/** Of a declaration: twice this, three times in turn, is within `brokerConnectMs`. */
const ANSWER_MS = 1_250;
/** AMQP 0-9-1, 3.1.3.3: each server has it in each virtual host. */
const ALWAYS_THERE = 'amq.topic';

export interface Names {
  readonly events: string;
  readonly unrouted: string;
  readonly requests: string;
  readonly presence: string;
  readonly presenceQuery: string;
  /** An exchange, and a queue. */
  readonly commands: string;
  /** The node that holds this queue owns the prefix. */
  readonly claim: string;
  /** An exchange: questions about devices that want to connect. */
  readonly auth: string;
  /** The queue for answers to them, of one registrar process. */
  readonly authAnswers: (incarnation: string) => string;
  /** The reply queue of one acceptor process. */
  readonly acceptor: (incarnation: string) => string;
}

export function names(prefix: string): Names {
  return {
    events: `${prefix}.events`,
    unrouted: `${prefix}.unrouted`,
    requests: `${prefix}.requests`,
    presence: `${prefix}.presence`,
    presenceQuery: `${prefix}.presence.query`,
    commands: `${prefix}.commands`,
    claim: `${prefix}.claim`,
    auth: `${prefix}.auth`,
    authAnswers: (incarnation) => `${prefix}.auth.${incarnation}`,
    acceptor: (incarnation) => `${prefix}.acceptor.${incarnation}`,
  };
}

/** Bind `*.hvac.#` for a topic of every device, `door-17.#` for all of one device. */
export function routingKey(deviceId: string, topic: string): string {
  return `${deviceId}.${topic}`;
}

/** Bind `online.#` for one direction, `*.door-17` for one device. */
export function presenceKey(deviceId: string, isOnline: boolean): string {
  return `${isOnline ? 'online' : 'offline'}.${deviceId}`;
}

/** Of all questions in the exchange `auth`: a direct one, where every backend may get all. */
export const AUTH_KEY = 'auth';

/** RabbitMQ takes no argument at all for classic, as it was before there were others. */
function typed(type: QueueType): Record<string, string> {
  return type === 'classic' ? {} : { 'x-queue-type': type };
}

/**
 * Declare what devices' messages are published to. Rejects with the broker's 406 or 403; or with
 * its 404 when the queue is a classic one whose node is down: all the rest is declared by then.
 */
export async function declareUplink(
  channel: AmqpChannel,
  at: Names,
  limits: Limits,
  type: QueueType = 'classic',
): Promise<void> {
  await channel.assertExchange(at.unrouted, 'fanout', { durable: true });
  await channel.assertExchange(at.events, 'topic', {
    durable: true,
    alternateExchange: at.unrouted,
  });
  await channel.assertExchange(at.requests, 'topic', { durable: true });
  await channel.assertQueue(at.unrouted, {
    durable: true,
    maxLength: limits.unroutedMax,
    messageTtl: limits.unroutedAgeMs,
    arguments: { 'x-overflow': 'drop-head', ...typed(type) },
  });
  await channel.bindQueue(at.unrouted, at.unrouted, '');
}

/**
 * How long a question about presence waits for an answer, in ms. No limit: nodes of a prefix share
 * the queue, and those with another `requestMs` could not declare it.
 */
const QUERY_TTL_MS = 10_000;

/** Declare presence: exchange and query queue. Rejects with the broker's 406, 403 or 404. */
export async function declarePresence(
  channel: AmqpChannel,
  at: Names,
  limits: Limits,
  type: QueueType = 'classic',
): Promise<void> {
  await channel.assertExchange(at.presence, 'topic', { durable: true });
  await channel.assertQueue(at.presenceQuery, {
    durable: true,
    maxLength: limits.presenceQueueMax,
    messageTtl: QUERY_TTL_MS,
    arguments: { 'x-overflow': 'drop-head', ...typed(type) },
  });
}

/**
 * Declare where commands are published. A full queue refuses: dropping the oldest would lose what
 * a sender waits for. It has no age: how long a command is valid, its sender decides. Rejects
 * with the broker's 406, 403 or 404.
 */
export async function declareCommands(
  channel: AmqpChannel,
  at: Names,
  limits: Limits,
  type: QueueType = 'classic',
): Promise<void> {
  await channel.assertExchange(at.commands, 'topic', { durable: true });
  await channel.assertQueue(at.commands, {
    durable: true,
    maxLength: limits.commandQueueMax,
    arguments: { 'x-overflow': 'reject-publish', ...typed(type) },
  });
  await channel.bindQueue(at.commands, at.commands, '#');
}

/** Declare where it is asked who may connect. Rejects with the broker's 406 or 403. */
export async function declareAuth(channel: AmqpChannel, at: Names): Promise<void> {
  await channel.assertExchange(at.auth, 'direct', { durable: true });
}

/**
 * Declare the queue for the answers. Always a classic one: nobody needs them after a restart of
 * the broker, and a device waits for each. Twice as long as there can be questions: whoever writes
 * more there fills only this queue. Rejects as above.
 */
export async function declareAuthAnswers(
  channel: AmqpChannel,
  queue: string,
  limits: Limits,
): Promise<void> {
  await channel.assertQueue(queue, {
    durable: true,
    expires: limits.replyQueueExpiresMs,
    messageTtl: limits.authAskMs,
    maxLength: 2 * limits.authQuestionsMax,
    arguments: { 'x-overflow': 'reject-publish', 'x-queue-type': 'classic' },
  });
}

/**
 * Claim the prefix for this connection, while it lives. Rejects with the broker's 405 while
 * another connection has it. Always a classic queue, and exclusive: a quorum queue cannot be, nor
 * does it keep its consumers alone.
 */
export async function declareClaim(channel: AmqpChannel, at: Names): Promise<void> {
  const arguments_ = { 'x-queue-type': 'classic' };
  await channel.assertQueue(at.claim, { exclusive: true, durable: false, arguments: arguments_ });
}

/** Declare one acceptor's reply queue. Rejects with the broker's 406 or 403, or 404 as above. */
export async function declareReplies(
  channel: AmqpChannel,
  queue: string,
  limits: Limits,
  type: QueueType = 'classic',
): Promise<void> {
  await channel.assertQueue(queue, {
    durable: true,
    expires: limits.replyQueueExpiresMs,
    messageTtl: limits.requestMs,
    maxLength: limits.replyQueueMax,
    arguments: typed(type),
  });
}

/**
 * Declare on a channel of its own, so that a refusal costs no other. Gives false when a durable
 * queue exists, but the cluster node that holds it is down: only its return makes it usable.
 * RabbitMQ 3 says so at once; RabbitMQ 4 looks for that queue for more than a minute, so who gets
 * no answer while another channel does has it, too. `answerMs` is waited before each of the two.
 */
export async function declareApart(
  model: AmqpModel,
  declare: (channel: AmqpChannel) => Promise<void>,
  answerMs = ANSWER_MS,
): Promise<boolean> {
  const channel = await model.createChannel();
  // The broker's no also arrives as the rejection of the call; here it would throw.
  channel.on('error', () => {});
  const declared = declare(channel).then(
    () => true,
    (error: { readonly code?: unknown }) => {
      if (error.code === NOT_FOUND) return false;
      throw error;
    },
  );
  if (await isLate(declared, answerMs)) {
    await answers(model);
    // The channel is left to its answer: it ends with that, or with its connection.
    if (await isLate(declared, answerMs)) return false;
  }
  const isDeclared = await declared;
  if (isDeclared) await channel.close();
  return isDeclared;
}

/** It has no outcome within `ms`. */
async function isLate(work: Promise<unknown>, ms: number): Promise<boolean> {
  const over = new AbortController();
  const outcome = Promise.allSettled([work]).then(() => false);
  const late = pause(ms, true, { signal: over.signal });
  return Promise.race([outcome, late]).finally(() => over.abort());
}

/** Resolves when the broker has answered something that asks no queue. */
async function answers(model: AmqpModel): Promise<void> {
  const channel = await model.createChannel();
  channel.on('error', () => {});
  await channel.checkExchange(ALWAYS_THERE);
  await channel.close();
}
