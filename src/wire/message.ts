/**
 * Message: the meaning of a frame, whatever codec carried it.
 * From: a codec's reader.  To: the endpoint's state machine, the routes, and back to a codec.
 * Bound: plain values; `payload` is a view into the received bytes and must not be written to.
 */
import { type FatalCode, ProtocolError } from '../base/errors.ts';

/** Message types of the device protocol (docs/protocol.md). */
export const TYPE = {
  HELLO: 1,
  WELCOME: 2,
  PING: 3,
  PONG: 4,
  EVENT: 5,
  ACK: 6,
  REQUEST: 7,
  REPLY: 8,
  COMMAND: 9,
  RESULT: 10,
  BYE: 11,
  ERROR: 12,
} as const;

/** What each type is called in figures. */
export const TYPE_NAMES = Object.fromEntries(
  Object.entries(TYPE).map(([name, type]) => [type, name.toLowerCase()]),
) as { readonly [type in (typeof TYPE)[keyof typeof TYPE]]: string };
export const MESSAGE_TYPES: readonly string[] = Object.values(TYPE_NAMES);

export interface Hello {
  readonly type: typeof TYPE.HELLO;
  readonly version: 1;
  readonly deviceId: string;
  readonly token: string | undefined;
  /** Seconds; the device's wish. */
  readonly keepalive: number | undefined;
  /** Largest frame the device takes, in bytes. */
  readonly frameBytesMax: number | undefined;
}

export interface Welcome {
  readonly type: typeof TYPE.WELCOME;
  /** The connection id's 16 bytes. */
  readonly connectionId: Buffer;
  /** Seconds; this value rules. */
  readonly keepalive: number;
  /** Largest frame Owsla takes, in bytes. */
  readonly frameBytesMax: number;
  /** Milliseconds since 1970. */
  readonly time: number;
}

export interface Ping {
  readonly type: typeof TYPE.PING;
}

export interface Pong {
  readonly type: typeof TYPE.PONG;
}

/** The device's own number of a message, kept across links, and its time in ms since 1970. */
export interface Meta {
  readonly seq?: number;
  readonly at?: number;
}

export interface Event {
  readonly type: typeof TYPE.EVENT;
  /** 0: no ACK wanted. */
  readonly id: number;
  readonly topic: string;
  readonly payload: Buffer;
  readonly meta: Meta;
}

export interface Ack {
  readonly type: typeof TYPE.ACK;
  readonly id: number;
}

export interface Request {
  readonly type: typeof TYPE.REQUEST;
  readonly id: number;
  readonly topic: string;
  readonly payload: Buffer;
  readonly meta: Meta;
}

export interface Reply {
  readonly type: typeof TYPE.REPLY;
  readonly id: number;
  readonly status: number;
  readonly payload: Buffer;
}

export interface CommandMessage {
  readonly type: typeof TYPE.COMMAND;
  readonly id: number;
  readonly topic: string;
  readonly payload: Buffer;
  /** 16 bytes, the same on every redelivery. */
  readonly key: Buffer | undefined;
  /** Milliseconds. */
  readonly expiresIn: number | undefined;
}

export interface Result {
  readonly type: typeof TYPE.RESULT;
  readonly id: number;
  readonly status: number;
  readonly payload: Buffer;
}

export interface Bye {
  readonly type: typeof TYPE.BYE;
  readonly reason: string;
  /** Milliseconds. */
  readonly retryAfter: number | undefined;
}

export interface ErrorMessage {
  readonly type: typeof TYPE.ERROR;
  readonly code: string;
  readonly message: string;
  /** Id of the frame it is about, where that could be read. */
  readonly id: number | undefined;
  /** That frame's type, where it is neither EVENT nor REQUEST: the id is not of their counter. */
  readonly about?: number;
}

export type Message =
  | Hello
  | Welcome
  | Ping
  | Pong
  | Event
  | Ack
  | Request
  | Reply
  | CommandMessage
  | Result
  | Bye
  | ErrorMessage;

/** Largest id of a message: EVENT and REQUEST ids are u32. */
export const ID_MAX = 0xffff_ffff;
/** 49 days: beyond it the number would take a form that small devices do not read. */
export const EXPIRES_IN_MAX_MS = 0xffff_ffff;

/** What is wrong with a message that was read whole. The id in an ERROR is not its own. */
export function errorAbout(message: Message, code: FatalCode, what: string): ProtocolError {
  const hasId = message.type !== TYPE.ERROR && 'id' in message;
  return new ProtocolError(code, what).about(message.type, hasId ? message.id : undefined);
}

/** The ERROR that tells a device of this. It names the message if its id is known. */
export function toDevice({ code, message, type, id }: ProtocolError): ErrorMessage {
  const error = { type: TYPE.ERROR, code, message, id };
  if (type === undefined || id === undefined) return error;
  return type === TYPE.EVENT || type === TYPE.REQUEST ? error : { ...error, about: type };
}
