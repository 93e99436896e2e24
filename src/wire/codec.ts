/**
 * Codec: the interface between bytes and messages; nothing above `wire/` knows a format.
 * From: the socket's chunks.  To: messages, in order; and messages back to bytes.
 * Bound: a reader holds at most one incomplete frame; a broken one throws ProtocolError.
 */
import type { CommandMessage, Message, Reply } from './message.ts';

/** The bytes of one link, cut anywhere, as messages. Stateful, one per link. */
export interface Reader {
  /** Add a chunk. The reader keeps views into it and never writes to it. */
  push(chunk: Buffer): void;
  /**
   * The next complete message, or `undefined` when more bytes are needed.
   * Throws ProtocolError for a frame that breaks the format; the stream is of no use afterwards.
   */
  next(): Message | undefined;
  /** Bytes of the message that `next` gave last, its frame's length included. */
  readonly bytes: number;
  /** Its elements, skipped ones too: the time to read it is proportional to them. */
  readonly elements: number;
  /** Memory that bytes not yet read hold, in bytes. */
  readonly heldBytes: number;
  /** Drop these bytes: nothing will be read any more. */
  drop(): void;
}

/** Types of messages whose payloads are of others' making. */
export type ToDevice = (CommandMessage | Reply)['type'];

export interface Codec {
  /** A new reader that takes frames of at most `frameBytesMax` bytes. */
  reader(frameBytesMax: number): Reader;
  /**
   * One message as the bytes to write, not to be changed. They hold about their own memory.
   * Message types the format lacks throw a TypeError.
   */
  encode(message: Message): Buffer;
  /** Largest payload that a message surely has room for in a frame of `bytes` bytes. */
  maxPayload(type: ToDevice, bytes: number, topic?: string): number;
}
