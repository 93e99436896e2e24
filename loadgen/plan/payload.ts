/**
 * Payload: bytes that say whose they are, so that an echo proves which message came back where.
 * From: device.ts, when it sends, and wills.ts.  To: device.ts again, when the reply is there; the
 * watch of the broker.
 * Bound: 16 bytes at least (run, device, number, kind); the rest is a slice of one random block.
 * Nothing is remembered per message: what was sent is worked out again from the same numbers.
 */
import { hash, Random } from './random.ts';

export const PAYLOAD_BYTES_MIN = 16;
export const PAYLOAD_BYTES_MAX = 1024 * 1024;

/** `will`: its number is that of the link. */
export const KIND = { request: 1, event: 2, command: 3, will: 4 } as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

export interface Bytes {
  readonly min: number;
  readonly max: number;
}

/** What a payload's header says. */
export interface Mark {
  readonly run: number;
  readonly device: number;
  readonly number: number;
  readonly kind: number;
}

/** The header of a payload, or `undefined` when it is too short to have one. */
export function readMark(payload: Buffer): Mark | undefined {
  if (payload.length < PAYLOAD_BYTES_MIN) return undefined;
  return {
    run: payload.readUInt32BE(0),
    device: payload.readUInt32BE(4),
    number: payload.readUInt32BE(8),
    kind: payload.readUInt32BE(12),
  };
}

export class Payloads {
  readonly #run: number;
  readonly #seed: number;
  readonly #block: Buffer;

  constructor(run: number, seed: number, bytesMax: number) {
    this.#run = run >>> 0;
    this.#seed = seed;
    const random = new Random(seed, 0x10ad);
    this.#block = Buffer.allocUnsafeSlow(bytesMax + 4_096);
    for (let i = 0; i < this.#block.length; i += 1) this.#block[i] = random.below(256);
  }

  #length(h: number, { min, max }: Bytes): number {
    return max === min ? min : min + (h % (max - min + 1));
  }

  /** How long the payload of a device's `number`-th message is. */
  lengthOf(device: number, number: number, bytes: Bytes): number {
    return this.#length(hash(this.#seed ^ device, number), bytes);
  }

  /** Write that payload, `length` bytes of it, into `into` at `offset`. */
  fill(into: Buffer, offset: number, length: number, mark: Omit<Mark, 'run'>): void {
    into.writeUInt32BE(this.#run, offset);
    into.writeUInt32BE(mark.device, offset + 4);
    into.writeUInt32BE(mark.number, offset + 8);
    into.writeUInt32BE(mark.kind, offset + 12);
    const at = hash(this.#seed ^ mark.device, mark.number) & 4_095;
    this.#block.copy(into, offset + PAYLOAD_BYTES_MIN, at, at + length - PAYLOAD_BYTES_MIN);
  }

  /** Is this, byte for byte, the payload that `fill` wrote? */
  isSame(payload: Buffer, device: number, number: number, kind: Kind, bytes: Bytes): boolean {
    const h = hash(this.#seed ^ device, number);
    const length = this.#length(h, bytes);
    if (payload.length !== length) return false;
    if (payload.readUInt32BE(0) !== this.#run || payload.readUInt32BE(4) !== device) return false;
    if (payload.readUInt32BE(8) !== number || payload.readUInt32BE(12) !== kind) return false;
    const at = h & 4_095;
    const end = at + length - PAYLOAD_BYTES_MIN;
    return payload.compare(this.#block, at, end, PAYLOAD_BYTES_MIN, length) === 0;
  }

  /** Does this payload belong to this run at all? */
  isOurs(mark: Mark): boolean {
    return mark.run === this.#run;
  }
}
