/**
 * MessagePack, read strictly: the subset that the device protocol allows, checked byte by byte.
 * From: one frame's payload.  To: wire/v1.ts, field by field.
 * Bound: nesting of 4 levels, no ext types, map keys are str; anything else is `bad-frame`.
 * A general decoder would build values that are not needed, accept ext types, and turn a `str`
 * payload into a string and back; docs/decisions/0003 has the measurements.
 */
import { ProtocolError } from '../base/errors.ts';

/** The frame's own array is level 1. */
export const NESTING_MAX = 4;

const EMPTY = Buffer.alloc(0);
const TWO_32 = 2 ** 32;

function broken(what: string): ProtocolError {
  return new ProtocolError('bad-frame', what);
}

/** A position in one payload. Every method reads one item there and moves behind it. */
export class Cursor {
  #bytes: Buffer = EMPTY;
  #at = 0;
  /** Items read since `reset`, skipped ones and those within them too. */
  items = 0;

  reset(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#at = 0;
    this.items = 0;
  }

  /** Let go of the payload, so that this cursor does not keep it alive. */
  release(): void {
    this.#bytes = EMPTY;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw broken('MessagePack ends early');
    this.#at += 1;
    return byte;
  }

  /** The byte that an item begins with. */
  #format(): number {
    this.items += 1;
    return this.#byte();
  }

  /** Move over `length` bytes and return where they began. */
  #take(length: number): number {
    const start = this.#at;
    if (length > this.#bytes.length - start) throw broken('MessagePack ends early');
    this.#at = start + length;
    return start;
  }

  #u16(): number {
    return this.#bytes.readUInt16BE(this.#take(2));
  }

  #u32(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }

  /** Skip a nil and say so; leave anything else where it is. */
  nil(): boolean {
    if (this.#bytes[this.#at] !== 0xc0) return false;
    this.#at += 1;
    this.items += 1;
    return true;
  }

  /** An array's header: its number of elements. */
  array(): number {
    const byte = this.#format();
    if ((byte & 0xf0) === 0x90) return byte & 0x0f;
    if (byte === 0xdc) return this.#u16();
    if (byte === 0xdd) return this.#u32();
    throw broken('not an array');
  }

  /** A map's header: its number of pairs. */
  map(what: string): number {
    const byte = this.#format();
    if ((byte & 0xf0) === 0x80) return byte & 0x0f;
    if (byte === 0xde) return this.#u16();
    if (byte === 0xdf) return this.#u32();
    throw broken(`${what} is not a map`);
  }

  /**
   * Any MessagePack number with a whole value, floats included.
   * 64-bit values beyond 2^53 come back rounded, hence out of every range that callers check.
   */
  integer(what: string): number {
    const byte = this.#format();
    if (byte < 0x80) return byte;
    if (byte >= 0xe0) return byte - 0x100;
    const value = this.#wide(byte);
    if (!Number.isInteger(value)) throw broken(`${what} is not an integer`);
    return value;
  }

  /** The number behind a one-byte format, or NaN when that is no number format. */
  #wide(format: number): number {
    const bytes = this.#bytes;
    switch (format) {
      case 0xcc:
        return this.#byte();
      case 0xcd:
        return this.#u16();
      case 0xce:
        return this.#u32();
      case 0xcf: {
        const high = this.#u32();
        return high * TWO_32 + this.#u32();
      }
      case 0xd0:
        return bytes.readInt8(this.#take(1));
      case 0xd1:
        return bytes.readInt16BE(this.#take(2));
      case 0xd2:
        return bytes.readInt32BE(this.#take(4));
      case 0xd3: {
        const high = bytes.readInt32BE(this.#take(4));
        return high * TWO_32 + this.#u32();
      }
      case 0xca:
        return bytes.readFloatBE(this.#take(4));
      case 0xcb:
        return bytes.readDoubleBE(this.#take(8));
      default:
        return Number.NaN;
    }
  }

  /** An integer from `min` to `max`, or `bad-frame`. */
  integerIn(what: string, min: number, max: number): number {
    const value = this.integer(what);
    if (value < min || value > max) throw broken(`${what} is out of range`);
    return value;
  }

  /** Length of the str whose format byte is `byte`, or -1. */
  #strLength(byte: number): number {
    if ((byte & 0xe0) === 0xa0) return byte & 0x1f;
    if (byte === 0xd9) return this.#byte();
    if (byte === 0xda) return this.#u16();
    if (byte === 0xdb) return this.#u32();
    return -1;
  }

  /** Length of the bin whose format byte is `byte`, or -1. */
  #binLength(byte: number): number {
    if (byte === 0xc4) return this.#byte();
    if (byte === 0xc5) return this.#u16();
    if (byte === 0xc6) return this.#u32();
    return -1;
  }

  /** A str, decoded. `latin1` is the fast way where the next check admits ASCII only. */
  str(what: string, encoding: 'latin1' | 'utf8' = 'utf8'): string {
    const length = this.#strLength(this.#format());
    if (length < 0) throw broken(`${what} is not a str`);
    const start = this.#take(length);
    return this.#bytes.toString(encoding, start, start + length);
  }

  /** A bin, or a str as its bytes: a view, nothing is copied. */
  blob(what: string): Buffer {
    const byte = this.#format();
    const bin = this.#binLength(byte);
    const length = bin >= 0 ? bin : this.#strLength(byte);
    if (length < 0) throw broken(`${what} is neither bin nor str`);
    const start = this.#take(length);
    return length === 0 ? EMPTY : this.#bytes.subarray(start, start + length);
  }

  /** A bin, as a view; undefined for any other item, skipped. */
  binOnly(level: number): Buffer | undefined {
    const start = this.#at;
    const length = this.#binLength(this.#format());
    if (length >= 0) {
      const from = this.#take(length);
      return this.#bytes.subarray(from, from + length);
    }
    this.#at = start;
    this.items -= 1;
    this.skip(level);
    return undefined;
  }

  /** A str of at most `bytesMax` bytes, a character for each; '' for any other item, skipped. */
  shortText(bytesMax: number, level: number): string {
    const start = this.#at;
    const length = this.#strLength(this.#format());
    if (length >= 0 && length <= bytesMax) {
      const from = this.#take(length);
      return this.#bytes.toString('latin1', from, from + length);
    }
    this.#at = start;
    this.items -= 1;
    this.skip(level);
    return '';
  }

  /** Move over one item of any kind, checking it; `level` is the level of a container here. */
  skip(level: number): void {
    const byte = this.#format();
    if (byte < 0x80 || byte >= 0xe0) return;
    const str = this.#strLength(byte);
    const length = str >= 0 ? str : this.#binLength(byte);
    if (length >= 0) this.#take(length);
    else if ((byte & 0xf0) === 0x80) this.#skipMap(byte & 0x0f, level);
    else if ((byte & 0xf0) === 0x90) this.#skipItems(byte & 0x0f, level);
    else if (byte === 0xdc) this.#skipItems(this.#u16(), level);
    else if (byte === 0xdd) this.#skipItems(this.#u32(), level);
    else if (byte === 0xde) this.#skipMap(this.#u16(), level);
    else if (byte === 0xdf) this.#skipMap(this.#u32(), level);
    else if (byte >= 0xca && byte <= 0xd3) this.#wide(byte);
    else if (byte !== 0xc0 && byte !== 0xc2 && byte !== 0xc3) {
      throw broken('an ext type, or no MessagePack');
    }
  }

  /** Every item takes a byte at least, so a false count ends with the payload. */
  #skipItems(count: number, level: number): void {
    if (level > NESTING_MAX) throw broken(`nested deeper than ${NESTING_MAX}`);
    for (let i = 0; i < count; i += 1) this.skip(level + 1);
  }

  #skipMap(count: number, level: number): void {
    if (level > NESTING_MAX) throw broken(`nested deeper than ${NESTING_MAX}`);
    for (let i = 0; i < count; i += 1) {
      const length = this.#strLength(this.#format());
      if (length < 0) throw broken('a map key is not a str');
      this.#take(length);
      this.skip(level + 1);
    }
  }
}
