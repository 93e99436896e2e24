/**
 * Message: the meaning of what a device says or hears, whatever format carried it.
 * From: a link's protocol (protocol.ts).  To: the endpoint, the routes, and back to a protocol.
 * Bound: plain values; `payload` is a view into the received bytes and must not be written to. An
 * `id` is Owsla's own number of the message: from 1 up, and never twice on a link for what the
 * device sends. A format with other ids of its own knows which is whose.
 */

/** Types of messages, each by the word that figures have for it. */
export const TYPE = {
  HELLO: 'hello',
  WELCOME: 'welcome',
  PING: 'ping',
  PONG: 'pong',
  EVENT: 'event',
  ACK: 'ack',
  REQUEST: 'request',
  REPLY: 'reply',
  COMMAND: 'command',
  RESULT: 'result',
  BYE: 'bye',
  ERROR: 'error',
  ASIDE: 'aside',
} as const;
export type MessageType = (typeof TYPE)[keyof typeof TYPE];
export const MESSAGE_TYPES: readonly MessageType[] = Object.values(TYPE);

/** What a device wants to be published of it if its link ends without its goodbye. */
export interface Will {
  readonly topic: string;
  readonly payload: Buffer;
  /** It is published so long after the link's end; 0: at once. */
  readonly delayMs: number;
  /** Whose rules say what a takeover and a return do to it; absent: Owsla's own. */
  readonly rules?: 'mqtt';
}

export interface Hello {
  readonly type: typeof TYPE.HELLO;
  readonly version: 1;
  readonly deviceId: string;
  readonly token: string | undefined;
  /** Seconds; the device's wish. */
  readonly keepalive: number | undefined;
  /** Largest frame the device takes, in bytes. */
  readonly frameBytesMax: number | undefined;
  /** The device cannot be told of another keepalive than it wishes; 0 is none. */
  readonly isKeepaliveFixed?: boolean;
  /** As it was said: it may be longer than `willBytesMax`. */
  readonly will?: Will;
  /** MQTT's Clean Start: a will of an earlier link that waits is not cancelled, but due now. */
  readonly isCleanStart?: true;
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

export interface Meta {
  /** The device's own number of the message, kept across links. */
  readonly seq?: number;
  /** Its time in ms since 1970. */
  readonly at?: number;
  /** W3C Trace Context, not checked yet; '': what was there is no text, or too long. */
  readonly traceparent?: string;
  readonly tracestate?: string;
  /** It is the last value of its topic, to be kept by whoever keeps such. */
  readonly retain?: true;
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
  /** W3C Trace Context of its sender; undefined: it gave none. */
  readonly traceparent?: string;
  readonly tracestate?: string;
}

export interface Result {
  readonly type: typeof TYPE.RESULT;
  readonly id: number;
  readonly status: number;
  readonly payload: Buffer;
  /** What its protocol says to that at once. */
  readonly answer?: Buffer;
}

export interface Bye {
  readonly type: typeof TYPE.BYE;
  readonly reason: string;
  /** Milliseconds. */
  readonly retryAfter: number | undefined;
  /** The device says goodbye, and wants its will said nevertheless. */
  readonly keepsWill?: true;
}

/** Between a device and its protocol: nobody else learns of it. */
export interface Aside {
  readonly type: typeof TYPE.ASIDE;
  /** What it is, in fixed words. */
  readonly what: string;
  /** The frame to send, if there is one. */
  readonly answer: Buffer | undefined;
  /** It can be sent COMMANDs from now on. */
  readonly opensCommands?: true;
}

export interface ErrorMessage {
  readonly type: typeof TYPE.ERROR;
  readonly code: string;
  readonly message: string;
  /** Id of the frame it is about, where that could be read. */
  readonly id: number | undefined;
  /** That frame's type, as its format numbers it, where the id is not of EVENTs' and REQUESTs'. */
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

/** Largest id of a COMMAND, and of what a device of version 1 sends. */
export const ID_MAX = 0xffff_ffff;
/**
 * COMMANDs of a link whose answers are known: its protocol and its acceptor remember as many. Four
 * times what a device remembers.
 */
export const COMMANDS_OPEN_MAX = 64;
/** Largest number of any message. */
export const NUMBER_MAX = Number.MAX_SAFE_INTEGER;
