/**
 * Unread: what came of a byte stream and was not read yet.
 * From: socket chunks, cut anywhere.  To: frame.ts and module/, which know where frames end.
 * Bound: its user's: it grows with the bytes that really came, by doubling. An idle link's holds
 * nothing, and what waits holds about itself.
 */

const EMPTY = Buffer.alloc(0);
/** Holding so little more than is needed costs less than a copy does. */
const SLACK_BYTES = 1024;

export class Unread {
  // Invariant: 0 <= #start <= #end <= #bytes.length; [#start, #end) is what is not yet read.
  #bytes: Buffer = EMPTY;
  #start = 0;
  #end = 0;
  /** #bytes is our own growing copy, not a view into a chunk: we may append to it. */
  #isOwn = false;

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

  /** All of it, as a view that is good until the next `push`. */
  protected get view(): Buffer {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** A u32, big-endian, at its beginning: 4 bytes must be there. */
  protected get firstU32(): number {
    return this.#bytes.readUInt32BE(this.#start);
  }

  /** The `bytes` bytes behind the first `skipped` ones, as a view that stays valid: both are read. */
  protected take(skipped: number, bytes: number): Buffer {
    const start = this.#start + skipped;
    const taken = this.#bytes.subarray(start, start + bytes);
    this.#start = start + bytes;
    // An idle link holds no bytes.
    if (this.#start === this.#end) this.#clear();
    return taken;
  }

  /** The beginning of a frame may wait for long: it must not hold the chunk that it ends. */
  protected settle(): undefined {
    const rest = this.#end - this.#start;
    if (this.#bytes.length <= SLACK_BYTES || this.#bytes.length <= 2 * rest) return;
    const own = Buffer.allocUnsafeSlow(rest);
    this.#bytes.copy(own, 0, this.#start, this.#end);
    this.#bytes = own;
    this.#start = 0;
    this.#end = rest;
    this.#isOwn = true;
  }

  /** Let go of it. */
  drop(): void {
    this.#clear();
  }

  #clear(): void {
    this.#bytes = EMPTY;
    this.#start = 0;
    this.#end = 0;
    this.#isOwn = false;
  }

  /** All of it, as a copy: to read on from elsewhere. */
  rest(): Buffer {
    return Buffer.from(this.#bytes.subarray(this.#start, this.#end));
  }

  /** How much it is. */
  get pendingBytes(): number {
    return this.#end - this.#start;
  }

  /** Memory that it holds, in bytes. */
  get heldBytes(): number {
    return this.#bytes.length;
  }
}
