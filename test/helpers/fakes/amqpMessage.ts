/**
 * A message as it comes from a queue, with as much in it as a test says.
 * From: tests of what reads queues.  To: their handlers.
 */
import type { AmqpMessage } from '../../../src/broker/amqp.ts';

export interface Given {
  readonly routingKey?: string;
  readonly properties?: AmqpMessage['properties'];
  readonly content?: string | Buffer;
  readonly deliveryTag?: number;
  readonly redelivered?: boolean;
}

export function amqpMessage(given: Given): AmqpMessage {
  const { routingKey = 'q', properties = {}, content = '' } = given;
  const { deliveryTag = 1, redelivered = false } = given;
  return {
    content: Buffer.from(content),
    fields: { deliveryTag, redelivered, exchange: '', routingKey },
    properties,
  };
}
