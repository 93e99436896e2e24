/**
 * Protocol: what the bytes of one link mean; nothing above `wire/` knows a format.
 * From: Endpoint, one protocol object per link: its socket's chunks, and what is to be said.
 * To: the same: messages, in order; and frames, whole, for its outbox.
 * Bound: it holds at most one incomplete frame; what breaks the protocol throws ProtocolError and
 * costs the link. It has no socket, no clock and no timer: a link's protocol is a few numbers and
 * the bytes not yet read.
 */
import type { ProtocolError } from '../base/errors.ts';
import type { Limits } from '../base/limits.ts';
import type {
  Ack,
  Aside,
  Bye,
  CommandMessage,
  Event,
  Hello,
  Message,
  Ping,
  Pong,
  Request,
  Result,
} from './message.ts';

/** What the first message of a link asks for. */
export type Greeting = Omit<Hello, 'version'>;

/** What a device may say to an acceptor. */
export type FromDevice = Greeting | Event | Request | Ack | Result | Ping | Pong | Bye | Aside;

/** What was read: whole, and not more than that is known. */
export type Received = Greeting | Exclude<Message, Hello> | Aside;

export interface Protocol {
  // From the device.

  /** Add a chunk. The protocol keeps views into it and never writes to it. */
  push(chunk: Buffer): void;
  /**
   * The next whole message, or `undefined` when more bytes are needed.
   * Throws ProtocolError for bytes that break the format; the stream is of no use afterwards.
   */
  next(): Received | undefined;
  /**
   * Its turn has come, which for one that finds no room at the broker is later: throws
   * ProtocolError when it may not be said here, or not now. What is remembered of a message, such
   * as its id, is so of those accepted only.
   */
  accept(message: Received): FromDevice;
  /** Bytes of the message that `next` gave last, with all that frames it. */
  readonly bytes: number;
  /** Its elements: all that was walked, also what nobody wanted. Time to read it goes with them. */
  readonly elements: number;
  /** Memory that bytes not yet read hold, in bytes. */
  readonly heldBytes: number;
  /** The frame that was read last says more than `next` has given. */
  readonly isHolding?: boolean;
  /** It can do no more, as it found when it was to say something. `next` throws the same. */
  readonly failure?: ProtocolError | undefined;
  /** Let go of these: nobody will read on. */
  drop(): void;
  /** False: `state` would be in no form, and the link ends where it is. */
  readonly canMove?: boolean;
  /** Of a link that has greeted: all that is needed to go on with it. Changes nothing. */
  state(): ProtocolState;

  // To the device: each gives the bytes to write, or undefined where this protocol has no word for
  // it. Nobody writes to them, and they hold about their own memory for as long as they wait.

  /** The greeting is accepted. `keepaliveMs` rules, in whole seconds; `time`: ms since 1970. */
  welcome(connectionId: string, keepaliveMs: number, time: number): Buffer | undefined;
  /** An EVENT is safe at the broker. */
  acknowledge(id: number): Buffer | undefined;
  reply(id: number, status: number, payload: Buffer): Buffer | undefined;
  /** Only while `takesCommands` is `ready`. Undefined: its device has no such command. */
  command(message: CommandMessage): Buffer | undefined;
  /** Owsla is there, though it does not read; or, where it `pingsIdle`: is the device? */
  ping(): Buffer | undefined;
  /** Its devices show that they are there when they are asked, and not before. */
  readonly pingsIdle?: boolean;
  pong(): Buffer | undefined;
  /** What was wrong, and with which message; a goodbye follows. */
  error(error: ProtocolError): Buffer | undefined;
  /**
   * The device may not say this; of a greeting, its will: it has none. It ends nothing. Nothing to
   * write where that cannot be told.
   */
  notAllowed(message: Event | Request | Greeting): Buffer | undefined;
  /** The last that is said. `retryAfter` in ms. */
  goodbye(reason: string, retryAfter: number | undefined): Buffer | undefined;

  /** Can the device be sent a COMMAND now? */
  readonly takesCommands: CommandReadiness;

  // For people.

  /** What one of these frames says; undefined: nothing that can be shown. May throw. */
  describe(frame: Buffer): Received | undefined;

  // Sizes: the largest payload that surely fits into `bytes` bytes, and that the device takes.

  replyBytesMax(bytes: number): number;
  commandBytesMax(topic: string, bytes: number): number;
}

/** busy: a little later. unready: once an Aside says so (`opensCommands`). */
export type CommandReadiness = 'ready' | 'busy' | 'unready';

/**
 * A link's protocol written down, so that another process goes on with the link: all that it
 * remembers, and the bytes that came and were not read.
 */
export interface ProtocolState {
  /** Which protocol, and in which form this is. One that a process does not know it cannot take. */
  readonly form: string;
  readonly remembered: Readonly<Record<string, number | string>>;
  readonly unread: Buffer;
}

/** What a protocol has to keep to, and tells its devices. */
export type ProtocolLimits = Pick<
  Limits,
  'frameBytesMax' | 'helloBytesMax' | 'inFlightMax' | 'keepaliveMaxMs'
>;

/** What the links of a listener speak. One object serves all of them. */
export interface ProtocolFactory {
  /** Of a new link. */
  make(limits: ProtocolLimits): Protocol;
  /** Of a link that another process had; undefined: the state is in no form that it knows. */
  restore(state: ProtocolState, limits: ProtocolLimits): Protocol | undefined;
}

/** By the word that a listener has for it: its `protocol`. */
export type Protocols = ReadonlyMap<string, ProtocolFactory>;
