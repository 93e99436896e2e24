/**
 * OwnSpeech: devices that speak Owsla's own protocol.
 * From: device.ts; the plan's keepalive.  To: the same. REQUEST and EVENT are written straight into
 * one buffer, whose hole payload.ts fills.
 * Bound: payloads of at most 2^32 - 1 bytes. The general encoder builds an array, a map and a copy
 * of the payload for each message; at tens of thousands a second that is a third of our own time.
 * A test holds every frame against the codec.
 */
import { STATUS } from '../../src/base/errors.ts';
import { FrameReader } from '../../src/wire/frame.ts';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { decode, encode, VERSION } from '../../src/wire/v1.ts';
import { CODE } from '../../src/wire/v1Types.ts';
import { type Bytes, KIND, type Kind } from '../plan/payload.ts';
import { FRAME_BYTES_MAX } from '../plan/plan.ts';
import {
  type Commanded,
  type Cutter,
  type Heard,
  type Speech,
  type Template,
  WILL_TOPIC,
} from './speech.ts';

/** Fixed parts: length 4, array 1, type 1, id 5, payload header 5, meta 10. */
const FIXED_BYTES = 26;
const META = Buffer.from([0x81, 0xa3, 0x73, 0x65, 0x71, 0xce]);

export class OwnTemplate implements Template {
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

  payloadAt(): number {
    return 16 + this.#topic.length;
  }

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

export class OwnSpeech implements Speech {
  readonly ping = encode({ type: TYPE.PING });
  readonly pong = encode({ type: TYPE.PONG });
  readonly bye = encode({ type: TYPE.BYE, reason: '', retryAfter: undefined });
  readonly #keepaliveS: number | undefined;

  constructor(keepaliveS: number | undefined) {
    this.#keepaliveS = keepaliveS;
  }

  hello(deviceId: string, token: string | undefined, will?: Buffer): Buffer {
    return encode({
      type: TYPE.HELLO,
      version: VERSION,
      deviceId,
      token,
      keepalive: this.#keepaliveS,
      frameBytesMax: undefined,
      ...(will && { will: { topic: WILL_TOPIC, payload: will, delayMs: 0 } }),
    });
  }

  answer({ id }: Commanded, payload: Buffer): Buffer {
    const ack = encode({ type: TYPE.ACK, id });
    return Buffer.concat([ack, encode({ type: TYPE.RESULT, id, status: STATUS.ok, payload })]);
  }

  template(kind: Kind, topic: string, bytes: Bytes): Template {
    return new OwnTemplate(kind, topic, bytes);
  }

  cutter(): Cutter {
    return new FrameReader(FRAME_BYTES_MAX);
  }

  read(frame: Buffer): Heard {
    return heard(decode(frame));
  }
}

function heard(message: Message): Heard {
  switch (message.type) {
    case TYPE.REPLY:
      return { is: 'reply', id: message.id, status: message.status, payload: message.payload };
    case TYPE.ACK:
      return { is: 'ack', id: message.id };
    case TYPE.WELCOME:
      return { is: 'welcome', keepaliveS: message.keepalive };
    case TYPE.PING:
      return { is: 'ping' };
    case TYPE.PONG:
      return { is: 'pong' };
    case TYPE.COMMAND:
      return { is: 'command', id: message.id, key: message.key, payload: message.payload };
    case TYPE.BYE:
      return { is: 'bye', reason: message.reason, retryAfterMs: message.retryAfter };
    case TYPE.ERROR:
      return { is: 'error', code: message.code };
    default:
      return { is: 'nonsense', what: `type ${message.type} from the server` };
  }
}
