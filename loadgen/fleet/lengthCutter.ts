/**
 * LengthCutter: a link's bytes, cut into whole frames by what says how long the first of them is.
 * From: device.ts, chunk by chunk.  To: the same; `lengthOf` is mqttSpeech.ts' or a module's.
 * Bound: that of `lengthOf`, which throws ProtocolError for a frame that is too long or wrong.
 */
import { Unread } from '../../src/wire/unread.ts';
import type { Cutter } from './speech.ts';

export class LengthCutter extends Unread implements Cutter {
  readonly #lengthOf: (bytes: Buffer) => number | undefined;

  /** `lengthOf`: at least 1, of bytes that are never none; undefined: it is not known yet. */
  constructor(lengthOf: (bytes: Buffer) => number | undefined) {
    super();
    this.#lengthOf = lengthOf;
  }

  next(): Buffer | undefined {
    if (this.start === this.end) return undefined;
    const bytes = this.unread.subarray(this.start, this.end);
    const length = this.#lengthOf(bytes);
    if (length === undefined || length > bytes.length) return this.incomplete();
    this.start += length;
    // An idle link holds no bytes.
    if (this.start === this.end) this.drop();
    return bytes.subarray(0, length);
  }
}
