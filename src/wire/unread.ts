/**
 * Unread: bytes of a link that came and were not read: chunks in, cut anywhere; views out.
 * From: socket chunks.  To: what cuts them into whole messages: frame.ts, mqtt/packetReader.ts.
 * Bound: that of who cuts: it reads on until a message is too long. The buffer of an incomplete one
 * grows with the bytes that really came, by doubling, so announcing a long one costs nothing.
 */

const EMPTY = Buffer.alloc(0);
/** Holding so little more than is needed costs less than a copy does. */
const SLACK_BYTES = 1024;

export class Unread {
  // Invariant: 0 <= start <= end <= unread.length; [start, end) is what is not yet read.
  protected unread: Buffer = EMPTY;
  protected start = 0;
  protected end = 0;
  /** `unread` is our own growing copy, not a view into a chunk: we may append to it. */
  #isOwn = false;

  /** Add a chunk. The usual case, nothing left over, copies nothing. */
  push(chunk: Buffer): void {
    const rest = this.end - this.start;
    if (rest === 0) {
      this.unread = chunk;
      this.start = 0;
      this.end = chunk.length;
      this.#isOwn = false;
      return;
    }
    const needed = rest + chunk.length;
    if (!this.#isOwn || this.end + chunk.length > this.unread.length) {
      // Not from the shared pool: a small rest must not pin a pool slab while a device is slow.
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#isOwn ? rest * 2 : 0));
      this.unread.copy(grown, 0, this.start, this.end);
      this.unread = grown;
      this.start = 0;
      this.end = rest;
      this.#isOwn = true;
    }
    chunk.copy(this.unread, this.end);
    this.end += chunk.length;
  }

  /** Let go of what is not yet read. */
  drop(): void {
    this.unread = EMPTY;
    this.start = 0;
    this.end = 0;
    this.#isOwn = false;
  }

  /** The beginning of a message may wait for long: it must not hold the chunk that it ends. */
  protected incomplete(): undefined {
    const rest = this.end - this.start;
    if (this.unread.length <= SLACK_BYTES || this.unread.length <= 2 * rest) return;
    const own = Buffer.allocUnsafeSlow(rest);
    this.unread.copy(own, 0, this.start, this.end);
    this.unread = own;
    this.start = 0;
    this.end = rest;
    this.#isOwn = true;
  }

  /** What is not yet read, as a copy: to read on from elsewhere. */
  rest(): Buffer {
    return Buffer.from(this.unread.subarray(this.start, this.end));
  }

  /** Bytes not yet read. */
  get pendingBytes(): number {
    return this.end - this.start;
  }

  /** Memory that they hold, in bytes. */
  get heldBytes(): number {
    return this.unread.length;
  }
}
