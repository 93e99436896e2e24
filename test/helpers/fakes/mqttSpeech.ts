/**
 * MqttSpeech: a device's link by MQTT 3.1.1 or 5, as docs/mqtt.md has it, written with
 * mqtt-packet: other people's reading of the standards.
 * From: speech.ts.  To: the same. EVENTs and REQUESTs have QoS 1 and their id as the packet
 * identifier, so that it is their number, too; of MQTT 5 REQUESTs have a Response Topic and
 * Correlation Data. A RESULT has QoS 1 and an identifier that no message has.
 * Bound: the ids of REQUESTs without an answer. A link has less than RESULT_IDS messages.
 */
import assert from 'node:assert/strict';
import mqtt, { type IPublishPacket, type Packet, type Parser } from 'mqtt-packet';
import { type Message, TYPE, type Will } from '../../../src/wire/message.ts';
import type { MqttLevel } from '../../../src/wire/mqtt/check.ts';
import { COMMAND_PREFIX, REPLY_PREFIX, slashed } from '../../../src/wire/mqtt/topics.ts';
import { bytesOf } from './mqttDevice.ts';
import type { Heard, Speech } from './speech.ts';

/** Packet identifiers from here on are those of RESULTs; the last one that of SUBSCRIBE. */
const RESULT_IDS = 50_000;
const SUBSCRIBE_ID = 0xffff;
const KEEPALIVE_S = 60;
const MS_PER_SECOND = 1_000;
/** Where answers go in MQTT 5. */
const REPLIES_HERE = `${REPLY_PREFIX}here`;
const AT_LEAST_ONCE = { qos: 1, dup: false, retain: false } as const;

export class MqttSpeech implements Speech {
  readonly ping: Buffer;
  readonly #level: MqttLevel;
  readonly #parser: Parser;
  readonly #packets: Packet[] = [];
  /** REQUESTs without an answer: their PUBACKs are no ACKs. */
  readonly #asked = new Set<number>();
  /** Keys of COMMANDs without an answer, by packet identifier. */
  readonly #keys = new Map<number, string>();
  #results = 0;
  #error: Error | undefined;

  constructor(level: MqttLevel) {
    this.#level = level;
    this.ping = this.#write({ cmd: 'pingreq' });
    this.#parser = mqtt.parser({ protocolVersion: level });
    this.#parser.on('packet', (packet) => this.#packets.push(packet));
    this.#parser.on('error', (error: Error) => {
      this.#error = error;
    });
  }

  #write(...packets: Packet[]): Buffer {
    return bytesOf(this.#level, ...packets);
  }

  /** A will that waits is for a device that comes back to it: without Clean Start. */
  hello(clientId: string, will: Will | undefined): Buffer {
    const isDelayed = will !== undefined && will.delayMs > 0;
    const seconds = (will?.delayMs ?? 0) / MS_PER_SECOND;
    const left = will && {
      ...{ topic: slashed(will.topic), payload: will.payload, qos: 1, retain: false },
      ...(isDelayed && { properties: { willDelayInterval: seconds } }),
    };
    const subscription = { topic: `${COMMAND_PREFIX}#`, qos: 1, nl: false, rap: false, rh: 0 };
    return this.#write(
      {
        ...{ cmd: 'connect', protocolId: 'MQTT', protocolVersion: this.#level, clientId },
        ...{ clean: !isDelayed, keepalive: KEEPALIVE_S },
        ...(left && { will: left }),
        ...(isDelayed && { properties: { sessionExpiryInterval: seconds } }),
      } as Packet,
      { cmd: 'subscribe', messageId: SUBSCRIBE_ID, subscriptions: [subscription] } as Packet,
    );
  }

  say(message: Message): Buffer {
    switch (message.type) {
      case TYPE.EVENT:
        return this.#publish(message.id, slashed(message.topic), message.payload);
      case TYPE.REQUEST:
        return this.#request(message.id, slashed(message.topic), message.payload);
      case TYPE.ACK:
        return this.#write({ cmd: 'puback', messageId: message.id, reasonCode: 0 });
      case TYPE.RESULT: {
        const key = this.#keys.get(message.id);
        this.#results += 1;
        const id = RESULT_IDS + (this.#results % (SUBSCRIBE_ID - RESULT_IDS));
        return this.#publish(id, `$owsla/result/${key}/${message.status}`, message.payload);
      }
      case TYPE.BYE:
        return this.#write({ cmd: 'disconnect' });
      default:
        throw new Error(`MQTT has no ${message.type}`);
    }
  }

  #publish(
    messageId: number,
    topic: string,
    payload: Buffer,
    properties?: IPublishPacket['properties'],
  ): Buffer {
    const more = properties && { properties };
    return this.#write({ cmd: 'publish', ...AT_LEAST_ONCE, messageId, topic, payload, ...more });
  }

  #request(id: number, topic: string, payload: Buffer): Buffer {
    this.#asked.add(id);
    if (this.#level === 4) return this.#publish(id, `$owsla/request/${id}/${topic}`, payload);
    const correlationData = Buffer.from(String(id));
    return this.#publish(id, topic, payload, { responseTopic: REPLIES_HERE, correlationData });
  }

  *hear(chunk: Buffer): Generator<Heard> {
    this.#parser.parse(chunk);
    if (this.#error) throw new Error(`${this.#error.message}: ${chunk.toString('hex')}`);
    for (const packet of this.#packets.splice(0)) {
      const heard = this.#heard(packet);
      if (heard) yield heard;
    }
  }

  #heard(packet: Packet): Heard | undefined {
    switch (packet.cmd) {
      case 'connack': {
        if ((packet.reasonCode ?? packet.returnCode ?? 0) !== 0) return byeOf(packet);
        const { connection = '' } = packet.properties?.userProperties ?? {};
        return { type: 'opened', connection: String(connection) };
      }
      case 'suback':
        assert.deepEqual(packet.granted, [1], 'COMMANDs are granted');
        return undefined;
      case 'puback':
        return this.#acked(packet.messageId ?? 0);
      case 'publish':
        return this.#published(packet);
      case 'disconnect':
        return byeOf(packet);
      case 'pingresp':
        return undefined;
      default:
        throw new Error(`a server said ${packet.cmd}`);
    }
  }

  #acked(id: number): Heard | undefined {
    if (id >= RESULT_IDS || this.#asked.has(id)) return undefined;
    return { type: TYPE.ACK, id };
  }

  #published(packet: IPublishPacket): Heard {
    const { topic, messageId = 0, properties } = packet;
    const payload = Buffer.from(packet.payload);
    const words = topic.split('/');
    if (topic.startsWith(COMMAND_PREFIX)) return this.#commanded(words, messageId, payload);
    assert.ok(topic.startsWith(REPLY_PREFIX), `an answer at ${topic}`);
    const isHere = topic === REPLIES_HERE;
    const id = Number(isHere ? properties?.correlationData : words[2]);
    const status = Number(isHere ? properties?.userProperties?.status : words[3]);
    this.#asked.delete(id);
    return { type: TYPE.REPLY, id, status, payload };
  }

  #commanded(words: readonly string[], id: number, payload: Buffer): Heard {
    const [, , hex = '', ...topic] = words;
    this.#keys.set(id, hex);
    const key = Buffer.from(hex, 'hex');
    return {
      type: TYPE.COMMAND,
      id,
      topic: topic.join('.'),
      payload,
      key,
      expiresIn: undefined,
    };
  }
}

/** Owsla's own words for an end, which MQTT 5 has room for. */
function byeOf(packet: Extract<Packet, { cmd: 'connack' | 'disconnect' }>): Heard {
  const { reason, retryAfter } = packet.properties?.userProperties ?? {};
  const code = packet.reasonCode ?? ('returnCode' in packet ? packet.returnCode : 0);
  return {
    type: TYPE.BYE,
    reason: reason === undefined ? `${packet.cmd}-${code}` : String(reason),
    retryAfter: retryAfter === undefined ? undefined : Number(retryAfter),
  };
}
