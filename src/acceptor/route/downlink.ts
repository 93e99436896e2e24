/**
 * Downlink: replies of backends to the sockets that wait for them.
 * From: consumer.ts, one delivery at a time.  To: the endpoint that the correlation id names.
 * Bound: nothing is kept; a reply is sent in this turn, or dropped and counted by its fate.
 */
import { knownStatus, STATUS } from '../../base/errors.ts';
import { bump, type Counters, type ReplyFate } from '../../base/metrics.ts';
import type { AmqpMessage } from '../../broker/amqp.ts';
import { BROKEN } from '../../broker/content.ts';
import { NUMBER_MAX } from '../../wire/message.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { Registry } from '../endpoint/registry.ts';
import type { Requests } from './requests.ts';

const UUID_CHARS = 36;

export interface DownlinkOptions {
  readonly registry: Registry<Endpoint>;
  readonly requests: Requests;
  readonly counters: Counters;
}

/** The connection id and message id in a correlation id, or `undefined` for anything else. */
export function parseMessageId(text: unknown): { connectionId: string; id: number } | undefined {
  if (typeof text !== 'string' || text.charCodeAt(UUID_CHARS) !== 0x3a) return undefined;
  const digits = text.slice(UUID_CHARS + 1);
  const id = Number(digits);
  // Only what we wrote ourselves: '1e3', ' 1' and '0x1' are numbers too.
  if (!(id >= 1 && id <= NUMBER_MAX) || String(id) !== digits || digits.includes('.')) {
    return undefined;
  }
  return { connectionId: text.slice(0, UUID_CHARS), id };
}

/** For who looks: a backend has answered. `reason`: why its device does not get that. */
function sayReply(endpoint: Endpoint, id: number, payloadBytes: number, reason?: string): void {
  if (endpoint.tap === undefined) return;
  const why = reason === undefined ? {} : { reason };
  endpoint.tap.onStep(endpoint, { of: 'broker', what: 'replied', id, payloadBytes, ...why });
}

export class Downlink {
  readonly #options: DownlinkOptions;

  constructor(options: DownlinkOptions) {
    this.#options = options;
  }

  /** Decide one delivery's fate. Never throws, whatever a backend sent. */
  onDelivery(message: AmqpMessage): void {
    bump(this.#options.counters.deliveries, this.#deliver(message));
  }

  #deliver({ properties, content }: AmqpMessage): ReplyFate {
    const { registry, requests } = this.#options;
    const to = parseMessageId(properties.correlationId);
    if (to === undefined) return 'garbage';
    const endpoint = registry.find(to.connectionId);
    if (endpoint === undefined) return 'no-link';
    const request = requests.find(endpoint, to.id);
    const { length } = content;
    if (request === undefined) {
      sayReply(endpoint, to.id, length, 'late');
      return 'late';
    }
    if (length > endpoint.replyBytesMax) {
      sayReply(endpoint, to.id, length, 'too-long');
      requests.answerOurselves(request, 'failed');
      return 'too-long';
    }
    const { headers } = properties;
    const status = headers === BROKEN ? STATUS.failed : knownStatus(headers?.status);
    sayReply(endpoint, to.id, length);
    requests.answerFor(request, status, content);
    return 'sent';
  }

  /** A REQUEST came back: no queue is bound for it. */
  onReturn(messageId: string): void {
    const { registry, requests } = this.#options;
    const to = parseMessageId(messageId);
    const endpoint = to && registry.find(to.connectionId);
    const request = to && endpoint && requests.find(endpoint, to.id);
    if (endpoint && to)
      endpoint.tap?.onStep(endpoint, { of: 'broker', what: 'returned', id: to.id });
    if (request) requests.answerOurselves(request, 'unroutable');
  }
}
