/**
 * Frame: a u32 big-endian length and that many bytes; chunks in, whole payloads out.
 * From: socket chunks, cut anywhere.  To: wire/v1.ts, which gives payloads their meaning.
 * Bound: `frameBytesMax` per frame ('frame-too-long'); what of it has come is in unread.ts.
 */
import { ProtocolError } from '../base/errors.ts';
import { astray } from './astray.ts';
import { Unread } from './unread.ts';

/** Bytes of the length prefix. */
export const HEADER_BYTES = 4;

/** A payload as a frame. */
export function frameOf(payload: Buffer): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(payload.length);
  return Buffer.concat([header, payload]);
}

/** Cuts a byte stream into payloads. "Incomplete" is the value `undefined`, never an exception. */
export class FrameReader extends Unread {
  /** May be raised between two frames. */
  frameBytesMax: number;

  constructor(frameBytesMax: number) {
    super();
    this.frameBytesMax = frameBytesMax;
  }

  /**
   * The next payload, a view that stays valid, or `undefined` when it is incomplete.
   * Throws ProtocolError `bad-frame` (length 0) or `frame-too-long`.
   */
  next(): Buffer | undefined {
    const available = this.end - this.start;
    if (available < HEADER_BYTES) return this.incomplete();
    const length = this.unread.readUInt32BE(this.start);
    if (length === 0) throw new ProtocolError('bad-frame', 'a frame of length 0');
    if (length > this.frameBytesMax) {
      const limit = this.frameBytesMax;
      const hint = astray(this.unread.subarray(this.start, this.start + HEADER_BYTES));
      throw new ProtocolError(
        'frame-too-long',
        `a frame of ${length} bytes${hint}; the limit is ${limit}`,
      );
    }
    if (available < HEADER_BYTES + length) return this.incomplete();
    const start = this.start + HEADER_BYTES;
    const payload = this.unread.subarray(start, start + length);
    this.start = start + length;
    // An idle link holds no bytes.
    if (this.start === this.end) this.drop();
    return payload;
  }
}
