/**
 * V1Fields: a message as the elements of version 1's array (docs/protocol.md).
 * From: v1.ts, with what is to be said.  To: the same, which packs them.
 * Bound: pure.
 */
import type { Message, Will } from './message.ts';
import { CODE } from './v1Types.ts';

const U32_MAX = 0xffff_ffff;

/** The array of a message as the protocol's table has it; trailing nils are left out. */
export function fields(message: Message): unknown[] {
  const { type } = message;
  const number = CODE[type];
  switch (type) {
    case 'hello': {
      const { token, keepalive, frameBytesMax } = message;
      const will = message.will && willFields(message.will);
      const options = known({ token, keepalive, frameBytesMax, will });
      return [number, message.version, message.deviceId, options];
    }
    case 'welcome': {
      const { connectionId, keepalive, frameBytesMax, time } = message;
      // As a plain number it would become a float, which few small devices care to read.
      return [number, connectionId, { keepalive, frameBytesMax, time: BigInt(time) }];
    }
    case 'ping':
    case 'pong':
      return [number];
    case 'event':
    case 'request': {
      const { id, topic, payload, meta } = message;
      const { traceparent, tracestate } = meta;
      const map = known({ seq: wide(meta.seq), at: wide(meta.at), traceparent, tracestate });
      if (Object.keys(map).length === 0) return [number, id, topic, payload];
      return [number, id, topic, payload, map];
    }
    case 'ack':
      return [number, message.id];
    case 'reply':
    case 'result':
      return [number, message.id, message.status, message.payload];
    case 'command': {
      const { id, topic, payload, key, expiresIn, traceparent, tracestate } = message;
      const meta = known({ key, expiresIn: wide(expiresIn), traceparent, tracestate });
      return [number, id, topic, payload, meta];
    }
    case 'bye':
      return message.retryAfter === undefined
        ? [number, message.reason]
        : [number, message.reason, message.retryAfter];
    case 'error': {
      const { code, message: text, id, about } = message;
      if (id === undefined) return [number, code, text];
      return about === undefined ? [number, code, text, id] : [number, code, text, id, about];
    }
  }
}

function willFields({ topic, payload, delayMs }: Will): Record<string, unknown> {
  return known({
    topic,
    payload: payload.length > 0 ? payload : undefined,
    delay: delayMs > 0 ? delayMs : undefined,
  });
}

/** A copy without the keys that have no value. */
function known(map: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(map).filter(([, value]) => value !== undefined));
}

function wide(value: number | undefined): number | bigint | undefined {
  return value !== undefined && value > U32_MAX ? BigInt(value) : value;
}
