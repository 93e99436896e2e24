/**
 * Message: the meaning of a frame, whatever codec carried it.
 * From: a codec's reader.  To: the endpoint's state machine, the routes, and back to a codec.
 * Bound: plain values; `payload` is a view into the received bytes and must not be written to.
 */

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

export interface Command {
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
  readonly id: number | undefined;
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
  | Command
  | Result
  | Bye
  | ErrorMessage;

/** Largest id of a message: EVENT and REQUEST ids are u32. */
export const ID_MAX = 0xffff_ffff;
