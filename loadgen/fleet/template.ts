/**
 * Template: REQUEST and EVENT frames of one topic, written straight into one buffer.
 * From: load.ts: a kind and a topic.  To: device.ts, which has payload.ts fill the hole.
 * Bound: payloads of at most 2^32 - 1 bytes. The general encoder builds an array, a map and a copy
 * of the payload for each message; at tens of thousands a second that is a third of our own time.
 * A test holds every frame against the codec.
 */
import { CODE } from '../../src/wire/v1Types.ts';
import { type Bytes, KIND, type Kind } from '../plan/payload.ts';

/** Fixed parts: length 4, array 1, type 1, id 5, payload header 5, meta 10. */
const FIXED_BYTES = 26;
const META = Buffer.from([0x81, 0xa3, 0x73, 0x65, 0x71, 0xce]);

/** What to send: kind, topic and sizes, with the frame's constant bytes worked out once. */
export class Template {
  readonly kind: Kind;
  readonly bytes: Bytes;
  readonly #type: number;
  readonly #topic: Buffer;

  constructor(kind: Kind, topic: string, bytes: Bytes) {
    this.kind = kind;
    this.bytes = bytes;
    this.#type = kind === KIND.request ? CODE.request : CODE.event;
    const text = Buffer.from(topic, 'latin1');
    const header = text.length < 32 ? [0xa0 | text.length] : [0xd9, text.length];
    this.#topic = Buffer.concat([Buffer.from(header), text]);
  }

  /** Where the payload begins in each frame. */
  get payloadAt(): number {
    return 16 + this.#topic.length;
  }

  /** A frame with everything but the `length` payload bytes at `payloadAt`. The caller's buffer. */
  make(id: number, seq: number, length: number): Buffer {
    const topic = this.#topic;
    const frame = Buffer.allocUnsafe(FIXED_BYTES + topic.length + length);
    frame.writeUInt32BE(frame.length - 4, 0);
    frame[4] = 0x95;
    frame[5] = this.#type;
    frame[6] = 0xce;
    frame.writeUInt32BE(id, 7);
    topic.copy(frame, 11);
    let at = 11 + topic.length;
    frame[at] = 0xc6;
    frame.writeUInt32BE(length, at + 1);
    at += 5 + length;
    META.copy(frame, at);
    frame.writeUInt32BE(seq, at + 6);
    return frame;
  }
}
