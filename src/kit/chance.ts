/**
 * Chance: noise that is the same for the same seed.
 * From: a seed.  To: the checks: numbers, cuts of a stream, bytes that are nearly right.
 * Bound: pure.
 */

/** mulberry32: small, and good enough to find what a parser did not expect. */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to, and without, `below`. */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }

  /** The bytes in pieces, cut at some places. */
  cut(bytes: Buffer): Buffer[] {
    const places = Array.from({ length: 1 + this.below(8) }, () => this.below(bytes.length + 1));
    const ends = [...places.sort((a, b) => a - b), bytes.length];
    return ends.map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end));
  }

  /** The bytes with some of them changed, left out, put in, or said twice. */
  spoil(bytes: Buffer): Buffer {
    let spoiled = bytes;
    for (let left = 1 + this.below(4); left > 0; left -= 1) spoiled = this.#spoilOnce(spoiled);
    return spoiled;
  }

  #spoilOnce(bytes: Buffer): Buffer {
    const at = this.below(bytes.length + 1);
    const length = this.below(8);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    switch (this.below(5)) {
      case 0:
        return Buffer.concat([before, after.subarray(length)]);
      case 1:
        return Buffer.concat([before, this.bytes(length), after]);
      case 2:
        return Buffer.concat([before, after.subarray(0, length), after]);
      case 3:
        return Buffer.concat([before, Buffer.alloc(length, this.pick([0, 0xff, 0x7f])), after]);
      default: {
        const changed = Buffer.from(bytes);
        if (changed.length > 0) changed[at % changed.length] = this.below(256);
        return changed;
      }
    }
  }
}
