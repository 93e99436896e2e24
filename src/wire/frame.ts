/**
 * Frame: a u32 big-endian length and that many bytes; chunks in, whole payloads out.
 * From: socket chunks, cut anywhere.  To: wire/v1.ts, which gives payloads their meaning.
 * Bound: `frameBytesMax` per frame ('frame-too-long'); an incomplete frame's buffer grows with the
 * bytes that really came, by doubling, so announcing a large frame costs the server nothing.
 */
import { ProtocolError } from '../base/errors.ts';

/** Bytes of the length prefix. */
export const HEADER_BYTES = 4;

const EMPTY = Buffer.alloc(0);
/** Holding so little more than is needed costs less than a copy does. */
const SLACK_BYTES = 1024;

/** A payload as a frame. */
export function frameOf(payload: Buffer): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(payload.length);
  return Buffer.concat([header, payload]);
}

/** Cuts a byte stream into payloads. "Incomplete" is the value `undefined`, never an exception. */
export class FrameReader {
  // Invariant: 0 <= #start <= #end <= #bytes.length; [#start, #end) is what is not yet read.
  #bytes: Buffer = EMPTY;
  #start = 0;
  #end = 0;
  /** #bytes is our own growing copy, not a view into a chunk: we may append to it. */
  #isOwn = false;
  /** May be raised between two frames. */
  frameBytesMax: number;

  constructor(frameBytesMax: number) {
    this.frameBytesMax = frameBytesMax;
  }

  /** Add a chunk. The usual case, nothing left over, copies nothing. */
  push(chunk: Buffer): void {
    const rest = this.#end - this.#start;
    if (rest === 0) {
      this.#bytes = chunk;
      this.#start = 0;
      this.#end = chunk.length;
      this.#isOwn = false;
      return;
    }
    const needed = rest + chunk.length;
    if (!this.#isOwn || this.#end + chunk.length > this.#bytes.length) {
      // Not from the shared pool: a small rest must not pin a pool slab while a device is slow.
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#isOwn ? rest * 2 : 0));
      this.#bytes.copy(grown, 0, this.#start, this.#end);
      this.#bytes = grown;
      this.#start = 0;
      this.#end = rest;
      this.#isOwn = true;
    }
    chunk.copy(this.#bytes, this.#end);
    this.#end += chunk.length;
  }

  /**
   * The next payload, a view that stays valid, or `undefined` when it is incomplete.
   * Throws ProtocolError `bad-frame` (length 0) or `frame-too-long`.
   */
  next(): Buffer | undefined {
    const available = this.#end - this.#start;
    if (available < HEADER_BYTES) return this.#incomplete();
    const length = this.#bytes.readUInt32BE(this.#start);
    if (length === 0) throw new ProtocolError('bad-frame', 'a frame of length 0');
    if (length > this.frameBytesMax) {
      const limit = this.frameBytesMax;
      throw new ProtocolError(
        'frame-too-long',
        `a frame of ${length} bytes; the limit is ${limit}`,
      );
    }
    if (available < HEADER_BYTES + length) return this.#incomplete();
    const start = this.#start + HEADER_BYTES;
    const payload = this.#bytes.subarray(start, start + length);
    this.#start = start + length;
    // An idle link holds no bytes.
    if (this.#start === this.#end) this.drop();
    return payload;
  }

  /** Let go of what is not yet read. */
  drop(): void {
    this.#bytes = EMPTY;
    this.#start = 0;
    this.#end = 0;
    this.#isOwn = false;
  }

  /** The beginning of a frame may wait for long: it must not hold the chunk that it ends. */
  #incomplete(): undefined {
    const rest = this.#end - this.#start;
    if (this.#bytes.length <= SLACK_BYTES || this.#bytes.length <= 2 * rest) return;
    const own = Buffer.allocUnsafeSlow(rest);
    this.#bytes.copy(own, 0, this.#start, this.#end);
    this.#bytes = own;
    this.#start = 0;
    this.#end = rest;
    this.#isOwn = true;
  }

  /** What is not yet read, as a copy: to read on from elsewhere. */
  rest(): Buffer {
    return Buffer.from(this.#bytes.subarray(this.#start, this.#end));
  }

  /** Bytes not yet read. */
  get pendingBytes(): number {
    return this.#end - this.#start;
  }

  /** Memory that they hold, in bytes. */
  get heldBytes(): number {
    return this.#bytes.length;
  }
}
