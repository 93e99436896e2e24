/**
 * V1Types: the numbers by which version 1 knows its types of messages, and by which an ERROR names
 * what it is about.
 * From: messages, and what is wrong with them.  To: v1.ts, busy.ts and v1Protocol.ts.
 * Bound: pure; docs/protocol.md has the table. Nothing outside wire/ sees these numbers.
 */
import { type FatalCode, ProtocolError } from '../base/errors.ts';
import type { ErrorMessage, Message, MessageType } from './message.ts';

export const CODE = {
  hello: 1,
  welcome: 2,
  ping: 3,
  pong: 4,
  event: 5,
  ack: 6,
  request: 7,
  reply: 8,
  command: 9,
  result: 10,
  bye: 11,
  error: 12,
} as const satisfies Readonly<Record<Message['type'], number>>;

/** What is wrong with a message that was read whole. The id in an ERROR is not its own. */
export function errorAbout(
  message: { readonly type: MessageType; readonly id?: number | undefined },
  code: FatalCode,
  what: string,
): ProtocolError {
  const { type } = message;
  const id = type === 'error' ? undefined : message.id;
  return new ProtocolError(code, what).about(type === 'aside' ? undefined : CODE[type], id);
}

/** The ERROR that tells a device of this. It names the message if its id is known. */
export function toDevice({ code, message, type, id }: ProtocolError): ErrorMessage {
  const error = { type: 'error', code, message, id } as const;
  if (type === undefined || id === undefined) return error;
  return type === CODE.event || type === CODE.request ? error : { ...error, about: type };
}
