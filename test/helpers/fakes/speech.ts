/**
 * Speech: what the bytes of a device's link mean: Owsla's own protocol, or MQTT. Whatever carries
 * them, messages have the words of Owsla's own.
 * From: devices of tests, one for each link: spokenDevice.ts, and those of chaos.  To: the same.
 * Bound: what a link has open; one frame that is not whole yet.
 */
import { stringify } from 'uuid';
import { type Message, TYPE, type Will } from '../../../src/wire/message.ts';
import { encode, V1Reader } from '../../../src/wire/v1.ts';
import { hello } from './device.ts';
import { MqttSpeech } from './mqttSpeech.ts';

const FRAME_BYTES_MAX = 64 * 1024;

/** Which of them, as the report names it. */
export type Tongue = 'owsla' | 'mqtt-3.1.1' | 'mqtt-5';

/** The link is open. Its connection id is '' where the protocol has no word for it. */
export interface Opened {
  readonly type: 'opened';
  readonly connection: string;
}
export type Heard = Message | Opened;

export interface Speech {
  /** All that begins a link, up to where COMMANDs are taken. */
  hello(deviceId: string, will: Will | undefined): Buffer;
  say(message: Message): Buffer;
  /** Said now and then, where it is the device that keeps a link alive. */
  readonly ping: Buffer | undefined;
  hear(chunk: Buffer): Iterable<Heard>;
}

class OwnSpeech implements Speech {
  readonly ping = undefined;
  readonly #reader = new V1Reader(FRAME_BYTES_MAX);

  hello(deviceId: string, will: Will | undefined): Buffer {
    return encode(hello(deviceId, will && { will }));
  }

  say(message: Message): Buffer {
    return encode(message);
  }

  *hear(chunk: Buffer): Generator<Heard> {
    this.#reader.push(chunk);
    for (let next = this.#reader.next(); next; next = this.#reader.next()) {
      if (next.type !== TYPE.WELCOME) yield next;
      else yield { type: 'opened', connection: stringify(next.connectionId) };
    }
  }
}

export function makeSpeech(tongue: Tongue): Speech {
  if (tongue === 'owsla') return new OwnSpeech();
  return new MqttSpeech(tongue === 'mqtt-5' ? 5 : 4);
}
