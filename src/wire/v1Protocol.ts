/**
 * V1Protocol: one link that speaks version 1 of the device protocol (docs/protocol.md).
 * From: Endpoint.  To: v1.ts and busy.ts, for the bytes.
 * Bound: a first HELLO, ids that rise, types that are for devices to send: anything else throws
 * ProtocolError. Owsla's number of a message is the device's own id.
 */
import { type ProtocolError, STATUS } from '../base/errors.ts';
import { encodeAck, encodeAnswer, PING, PONG } from './busy.ts';
import { HEADER_BYTES } from './frame.ts';
import type { CommandMessage, Event, Request } from './message.ts';
import type {
  CommandReadiness,
  FromDevice,
  Greeting,
  Protocol,
  ProtocolFactory,
  ProtocolState,
  Received,
} from './protocol.ts';
import { decode, encode, V1Reader } from './v1.ts';
import { CODE, errorAbout, toDevice } from './v1Types.ts';

/**
 * What a message adds to its topic and payload, at most. REPLY: array 1, type 1, id 5, status 3,
 * bin header 5. COMMAND: id, key, expiresIn, their names, headers.
 */
const REPLY_OVERHEAD_BYTES = 15;
const COMMAND_OVERHEAD_BYTES = 64;
const NO_BYTES = Buffer.alloc(0);
/** 49 days: beyond it the number would take a form that small devices do not read. */
const EXPIRES_IN_MAX_MS = 0xffff_ffff;
/** Of its written form. Changed fields make another one. */
const FORM = 'owsla/1';

export class V1Protocol extends V1Reader implements Protocol {
  #isGreeted = false;
  /** Of the last EVENT or REQUEST that had one. */
  #lastId = 0;
  /** Largest frame from the device once it has greeted, in bytes. */
  readonly #frameBytesMax: number;
  /** Largest frame the device takes, in bytes. */
  #deviceFrameBytesMax: number;

  /** The first frame may have `helloBytesMax` bytes: nobody knows yet whose it is. */
  constructor(frameBytesMax: number, helloBytesMax = frameBytesMax) {
    super(Math.min(frameBytesMax, helloBytesMax));
    this.#frameBytesMax = frameBytesMax;
    this.#deviceFrameBytesMax = frameBytesMax;
  }

  accept(message: Received): FromDevice {
    if (!this.#isGreeted) return this.#greet(message);
    switch (message.type) {
      case 'event':
      case 'request':
        this.#checkId(message);
        return message;
      case 'ack':
      case 'result':
      case 'ping':
      case 'pong':
      case 'bye':
        return message;
      case 'hello':
        throw errorAbout(message, 'unexpected', 'a second HELLO');
      case 'aside':
        return message;
      default: {
        const what = `type ${CODE[message.type]} is not for devices to send`;
        throw errorAbout(message, 'unexpected', what);
      }
    }
  }

  #greet(message: Received): Greeting {
    if (message.type !== 'hello') {
      throw errorAbout(message, 'unexpected', 'the first frame must be HELLO');
    }
    this.#isGreeted = true;
    this.frameBytesMax = this.#frameBytesMax;
    this.#deviceFrameBytesMax = message.frameBytesMax ?? this.frameBytesMax;
    return message;
  }

  #checkId(message: Event | Request): void {
    const { id } = message;
    if (id === 0) return;
    if (id <= this.#lastId) {
      throw errorAbout(message, 'bad-id', `id ${id} does not rise above ${this.#lastId}`);
    }
    this.#lastId = id;
  }

  state(): ProtocolState {
    // The device was told `frameBytesMax` and keeps to it, whatever the limit is elsewhere.
    const remembered = {
      lastId: this.#lastId,
      frameBytesMax: this.frameBytesMax,
      deviceFrameBytesMax: this.#deviceFrameBytesMax,
    };
    return { form: FORM, remembered, unread: this.rest() };
  }

  /** Throws nothing: what is in no form of ours is `undefined`. */
  static restore({ form, remembered, unread }: ProtocolState): V1Protocol | undefined {
    const { lastId, frameBytesMax, deviceFrameBytesMax } = remembered;
    const numbers = [lastId, frameBytesMax, deviceFrameBytesMax];
    if (form !== FORM || !numbers.every(Number.isSafeInteger)) return undefined;
    const protocol = new V1Protocol(Number(frameBytesMax));
    protocol.#isGreeted = true;
    protocol.#lastId = Number(lastId);
    protocol.#deviceFrameBytesMax = Number(deviceFrameBytesMax);
    if (unread.length > 0) protocol.push(unread);
    return protocol;
  }

  welcome(connectionId: string, keepaliveMs: number, time: number): Buffer {
    return encode({
      type: 'welcome',
      connectionId: Buffer.from(connectionId.replaceAll('-', ''), 'hex'),
      keepalive: keepaliveMs / 1_000,
      frameBytesMax: this.frameBytesMax,
      time,
    });
  }

  acknowledge(id: number): Buffer {
    return encodeAck(id);
  }

  reply(id: number, status: number, payload: Buffer): Buffer {
    return encodeAnswer(CODE.reply, id, status, payload);
  }

  command(message: CommandMessage): Buffer {
    const { expiresIn = 0 } = message;
    if (expiresIn <= EXPIRES_IN_MAX_MS) return encode(message);
    return encode({ ...message, expiresIn: EXPIRES_IN_MAX_MS });
  }

  ping(): Buffer {
    return PING;
  }

  pong(): Buffer {
    return PONG;
  }

  error(error: ProtocolError): Buffer {
    return encode(toDevice(error));
  }

  /** A REQUEST has its answer; an EVENT without an id has no name. */
  notAllowed(about: Event | Request | Greeting): Buffer | undefined {
    if (about.type === 'hello') {
      const message = 'this device may not publish to the topic of its will: it has none';
      return encode({ type: 'error', code: 'not-allowed', message, id: undefined });
    }
    const { type, id } = about;
    if (type === 'request') return encodeAnswer(CODE.reply, id, STATUS.refused, NO_BYTES);
    if (id === 0) return undefined;
    const message = 'this device may not publish to this topic';
    return encode({ type: 'error', code: 'not-allowed', message, id });
  }

  goodbye(reason: string, retryAfter: number | undefined): Buffer {
    return encode({ type: 'bye', reason, retryAfter });
  }

  replyBytesMax(bytes: number): number {
    return Math.min(bytes, this.#deviceFrameBytesMax) - REPLY_OVERHEAD_BYTES;
  }

  commandBytesMax(topic: string, bytes: number): number {
    return Math.min(bytes, this.#deviceFrameBytesMax) - COMMAND_OVERHEAD_BYTES - topic.length;
  }

  get takesCommands(): CommandReadiness {
    return 'ready';
  }

  describe(frame: Buffer): Received {
    return decode(frame.subarray(HEADER_BYTES));
  }
}

/** Links of the device protocol, version 1. */
export const V1: ProtocolFactory = {
  make: ({ frameBytesMax, helloBytesMax }) => new V1Protocol(frameBytesMax, helloBytesMax),
  restore: (state) => V1Protocol.restore(state),
};
