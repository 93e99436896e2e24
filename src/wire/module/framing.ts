/**
 * Framing: ready-made ways to tell where a frame ends, for authors of protocol modules.
 * From: a module's createProtocol.  To: its links' `frame`.
 * Bound: pure; none of them remembers anything, so that one serves all links.
 */
import type { Bytes, Framer, Framing, LengthField } from './moduleTypes.ts';

function delimited(end: Bytes): Framer {
  const mark = Buffer.from(end as Uint8Array);
  if (mark.length === 0) throw new TypeError('framing.delimited needs an end of a byte or more');
  return (bytes) => {
    const at = bytes.indexOf(mark);
    return at === -1 ? undefined : at + mark.length;
  };
}

function fixed(length: number): Framer {
  if (!Number.isSafeInteger(length) || length < 1) {
    throw new TypeError('framing.fixed needs a whole number of bytes');
  }
  return () => length;
}

const SIZES: readonly number[] = [1, 2, 3, 4];

function lengthPrefixed({ at, size, more, isLittleEndian = false }: LengthField): Framer {
  if (!SIZES.includes(size) || !Number.isSafeInteger(at) || !Number.isSafeInteger(more) || at < 0) {
    throw new TypeError('framing.lengthPrefixed needs { at, size: 1 to 4, more }');
  }
  return (bytes) => {
    if (bytes.length < at + size) return undefined;
    const length = isLittleEndian ? bytes.readUIntLE(at, size) : bytes.readUIntBE(at, size);
    return length + more;
  };
}

export const framing: Framing = Object.freeze({
  delimited,
  lines: () => delimited('\n'),
  fixed,
  lengthPrefixed,
});
