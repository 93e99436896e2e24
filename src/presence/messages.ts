/**
 * Messages: what acceptors and the registrar say to each other, as MessagePack arrays.
 * From: teller.ts, streams.ts.  To: a frame (wire/frame.ts) holds a list of them.
 * Bound: FRAME_MESSAGES_MAX per frame, FRAME_BYTES_MAX bytes; whoever breaks this is cut off.
 *
 *   acceptor                                  registrar
 *     hello, begin, up..., end  ---------------->       every link it holds, at each connect
 *     up, down  ------------------------------->        then changes, in order
 *       <---------------------------------------  takeover
 */
import { pack, unpack } from 'msgpackr';
import type { CloseReason } from '../errors.ts';
import { FrameReader, HEADER_BYTES } from '../wire/frame.ts';

export const FRAME_MESSAGES_MAX = 128;
export const FRAME_BYTES_MAX = 256 * 1024;

export type ToRegistrar =
  | readonly ['hello', incarnation: string]
  | readonly ['begin']
  | readonly ['end']
  | readonly ['up', device: string, connection: string, acceptedUs: number, at: number]
  | readonly ['down', device: string, connection: string, at: number, reason: CloseReason];

export type ToAcceptor = readonly ['takeover', connection: string];

/** A list of messages as one frame. */
export function encode(messages: readonly (ToRegistrar | ToAcceptor)[]): Buffer {
  const payload = pack(messages);
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(payload.length);
  return Buffer.concat([header, payload]);
}

/** The messages in a stream's chunks, cut anywhere. Throws when they are no frames of lists. */
export class MessageReader<M extends ToRegistrar | ToAcceptor> {
  readonly #frames = new FrameReader(FRAME_BYTES_MAX);

  push(chunk: Buffer): M[] {
    this.#frames.push(chunk);
    const messages: M[] = [];
    for (let payload = this.#frames.next(); payload; payload = this.#frames.next()) {
      messages.push(...(unpack(payload) as M[]));
    }
    return messages;
  }
}
