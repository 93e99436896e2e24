/**
 * Frames: cuts a byte stream into frames, whatever the dialect.
 * From: a socket's chunks.  To: `take`, once for each whole frame. Bound: one unfinished frame.
 */
export class Cutter {
  readonly #lengthAt: (bytes: Buffer, at: number) => number;
  #rest: Buffer | undefined;

  /** `lengthAt` tells a frame's length from its first bytes; 0 while they are too few. */
  constructor(lengthAt: (bytes: Buffer, at: number) => number) {
    this.#lengthAt = lengthAt;
  }

  push(chunk: Buffer, take: (bytes: Buffer, at: number, end: number) => void): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at < bytes.length) {
      const length = this.#lengthAt(bytes, at);
      if (length === 0 || at + length > bytes.length) break;
      take(bytes, at, at + length);
      at += length;
    }
    this.#rest = at < bytes.length ? bytes.subarray(at) : undefined;
  }
}
