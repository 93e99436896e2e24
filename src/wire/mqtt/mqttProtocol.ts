/**
 * MqttProtocol: one link that speaks MQTT 3.1.1 or 5 (docs/mqtt.md), as an honest subset: QoS 0 and
 * 1, COMMANDs by QoS 1, and only Owsla's own topics to subscribe to.
 * From: Endpoint.  To: packetReader.ts, check.ts and parser.ts for what came; packets.ts for what
 * is said.
 * Bound: an idle link is some numbers. Beside them, and only while there are any: TOPIC_ALIASES_MAX
 * names, COMMANDS_OPEN_MAX COMMANDs under way, and where the answers to open REQUESTs go, which
 * are at most `inFlightMax`.
 *
 *   connect --CONNECT--> connecting --CONNACK--> open
 *
 * A message's number rises on its link, whatever the device's packet identifiers do: it is the next
 * one whose low 16 bits are the packet identifier, so that its PUBACK needs no memory.
 */
import type { ISubackPacket, IUnsubackPacket, Packet } from 'mqtt-packet';
import { type ProtocolError, STATUS } from '../../base/errors.ts';
import type { Aside, CommandMessage, Event, Request, Result } from '../message.ts';
import type {
  CommandReadiness,
  FromDevice,
  Greeting,
  Protocol,
  ProtocolFactory,
  ProtocolLimits,
  ProtocolState,
  Received,
} from '../protocol.ts';
import { kept } from '../room.ts';
import { checkPacket, type MqttLevel, VersionError } from './check.ts';
import {
  type Connected,
  connackOf,
  connectedBy,
  connectedState,
  greetingOf,
  restoreConnected,
  TOPIC_ALIASES_MAX,
  unreadConnect,
} from './connect.ts';
import { describePacket } from './describe.ts';
import { fieldCursor } from './fields.ts';
import { commandOverhead, MqttCommands } from './mqttCommands.ts';
import { MqttRequests } from './mqttRequests.ts';
import { headerBytesOf, KIND, PacketReader } from './packetReader.ts';
import { encodePacket, encodePuback, PINGRESP } from './packets.ts';
import { parseConnect, parsePacket } from './parser.ts';
import { type PublishRead, readPublish } from './publish.ts';
import { endCodesOf, MqttError, malformed, protocolError, REASON } from './reasons.ts';
import { type Granted, subscribe, unsubscribe } from './subscriptions.ts';
import { addressedBy, COMMAND_BITS } from './topics.ts';

const NO_BYTES = Buffer.alloc(0);
/** A message's number, less its packet identifier, is a multiple of it. */
const ID_STEP = 0x1_0000;
/** In the first byte of a PUBLISH. */
const QOS2 = 0b100;
/** Of its written form. Changed fields make another one. */
const FORM = 'mqtt/1';

export class MqttProtocol extends PacketReader implements Protocol {
  bytes = 0;
  elements = 0;
  #phase: 'connect' | 'connecting' | 'open' = 'connect';
  readonly #limits: ProtocolLimits;
  /** Undefined before CONNECT. */
  #connected: Connected | undefined;
  /** Of the last message that had one. */
  #lastId = 0;
  /** Filters that it has: topics.ts. */
  #subscribed = 0;
  /** PINGREQs not read yet that have their answer. */
  #pongsAhead = 0;
  #aliases: Map<number, string> | undefined;
  #requests: MqttRequests | undefined;
  #commands: MqttCommands | undefined;
  /** What is wrong with a link that ends now. */
  #error: ProtocolError | undefined;

  /** The first packet may have `helloBytesMax` bytes: nobody knows yet whose it is. */
  constructor(limits: ProtocolLimits) {
    super(Math.min(limits.frameBytesMax, limits.helloBytesMax));
    this.#limits = limits;
  }

  // From the device.

  next(): Received | undefined {
    const packet = this.nextPacket();
    if (packet === undefined) return undefined;
    this.bytes = packet.length;
    if (this.#connected === undefined) return this.#connect(packet);
    const { level } = this.#connected;
    if ((packet[0] as number) >> 4 === KIND.publish) return this.#publish(level, packet);
    this.elements = checkPacket(level, packet, headerBytesOf(packet));
    // Nothing of it is left to parse.
    if ((packet[0] as number) >> 4 === KIND.pingreq) return this.#pinged();
    return this.#read(level, parsePacket(level, packet));
  }

  #connect(packet: Buffer): Received {
    const body = headerBytesOf(packet);
    if ((packet[0] as number) >> 4 !== KIND.connect) {
      throw protocolError('the first packet must be CONNECT');
    }
    try {
      this.elements = checkPacket(0, packet, body);
    } catch (error) {
      this.#answerAs(error, packet[body + 6]);
      throw error;
    }
    const connect = parseConnect(packet);
    this.#connected = connectedBy(connect);
    this.#phase = 'connecting';
    const greeting = greetingOf(connect, this.#limits);
    this.packetBytesMax = this.#limits.frameBytesMax;
    return greeting;
  }

  /** Of a CONNECT that is wrong: one of MQTT 5 may be told so; of 3.1.1 only its version may. */
  #answerAs(error: unknown, level: number | undefined): void {
    if (!(error instanceof VersionError) && level !== 5) return;
    this.#connected = unreadConnect(error instanceof VersionError ? error.answerAs : 5);
    this.#phase = 'connecting';
  }

  #read(level: MqttLevel, packet: Packet): Received {
    switch (packet.cmd) {
      case 'puback':
        return this.#puback(packet.messageId ?? 0, packet.reasonCode ?? 0);
      case 'subscribe':
        return this.#subscribes(level, subscribe(level, this.#subscribed, packet));
      case 'unsubscribe':
        return this.#subscribes(level, unsubscribe(level, this.#subscribed, packet));
      case 'disconnect': {
        const { sessionExpiryInterval = 0 } = packet.properties ?? {};
        if (sessionExpiryInterval > 0 && !this.#connected?.hasExpiry) {
          throw protocolError('a session that began to expire at its end');
        }
        const bye = { type: 'bye', reason: '', retryAfter: undefined } as const;
        return (packet.reasonCode ?? 0) === REASON.success ? bye : { ...bye, keepsWill: true };
      }
      default:
        throw malformed('no packet of a device');
    }
  }

  #subscribes(level: MqttLevel, { bits, answer }: Granted<ISubackPacket | IUnsubackPacket>): Aside {
    const opensCommands = !this.#hasCommands && (bits & COMMAND_BITS) !== 0;
    this.#subscribed = bits;
    const what = answer.cmd === 'suback' ? 'SUBSCRIBE' : 'UNSUBSCRIBE';
    const aside: Aside = { type: 'aside', what, answer: encodePacket(level, answer) };
    return opensCommands ? { ...aside, opensCommands } : aside;
  }

  #pinged(): Received {
    if (this.#pongsAhead === 0) return { type: 'ping' };
    this.#pongsAhead -= 1;
    return { type: 'aside', what: 'PINGREQ', answer: undefined };
  }

  #publish(level: MqttLevel, packet: Buffer): Received {
    const read = readPublish(level, packet, headerBytesOf(packet));
    this.elements = fieldCursor.items;
    const { packetId, meta } = read;
    if (((packet[0] as number) & QOS2) !== 0) {
      throw new MqttError('unexpected', REASON.qos, 'a PUBLISH of QoS 2');
    }
    const addressed = addressedBy(this.#nameOf(read));
    if (addressed === undefined) {
      throw new MqttError('bad-topic', REASON.topicName, 'a topic that Owsla does not take');
    }
    const payload = kept(read.payload);
    if (addressed.as === 'result') {
      const { key, status } = addressed;
      const result: Result = { type: 'result', id: this.#answered(key), status, payload };
      return packetId === 0 ? result : { ...result, answer: encodePuback(level, packetId, 0) };
    }
    const { topic } = addressed;
    if (addressed.as === 'event' && read.responseTopic === undefined) {
      return {
        type: 'event',
        id: packetId === 0 ? 0 : this.#number(packetId),
        topic,
        payload,
        meta,
      };
    }
    const id = this.#number(packetId);
    this.#requests ??= new MqttRequests();
    this.#requests.open(id, addressed.as === 'request' ? addressed.replyTo : '', read);
    return { type: 'request', id, topic, payload, meta };
  }

  /** The next number whose low 16 bits are these. */
  #number(packetId: number): number {
    const id = this.#lastId - (this.#lastId % ID_STEP) + packetId;
    this.#lastId = id > this.#lastId ? id : id + ID_STEP;
    return this.#lastId;
  }

  /** The topic, which may be said once and then by its alias (MQTT 5, section 3.3.2.3.4). */
  #nameOf({ topic, alias }: PublishRead): string {
    if (alias === 0) {
      if (topic === '') throw protocolError('a PUBLISH without a topic');
      return topic;
    }
    if (alias > TOPIC_ALIASES_MAX) {
      throw new MqttError('unexpected', REASON.topicAlias, `a topic alias of ${alias}`);
    }
    const known = topic === '' ? this.#aliases?.get(alias) : topic;
    if (known === undefined) throw protocolError(`a topic alias of ${alias}, which is not known`);
    if (topic !== '') {
      this.#aliases ??= new Map();
      this.#aliases.set(alias, topic);
    }
    return known;
  }

  #puback(packetId: number, reason: number): Received {
    const commands = this.#commands;
    if (commands === undefined) return { type: 'ack', id: 0 };
    // Its device refuses it: no RESULT will come.
    const isRefused = reason >= 0x80;
    const id = isRefused ? commands.refused(packetId) : commands.acked(packetId);
    if (commands.isEmpty) this.#commands = undefined;
    if (id === undefined) return { type: 'aside', what: 'PUBACK', answer: undefined };
    if (!isRefused) return { type: 'ack', id };
    return { type: 'result', id, status: STATUS.refused, payload: NO_BYTES };
  }

  #answered(key: string): number {
    const id = this.#commands?.answered(key) ?? 0;
    if (this.#commands?.isEmpty) this.#commands = undefined;
    return id;
  }

  /** All was said by `next`: it is asked only when what it gives can be handled. */
  accept(message: Received): FromDevice {
    return message as FromDevice;
  }

  // To the device.

  get #level(): MqttLevel {
    return this.#connected?.level ?? 4;
  }

  /** Nothing longer than its device takes is said. */
  #fitting(packet: Buffer): Buffer | undefined {
    return packet.length <= (this.#connected?.packetBytesMax ?? 0) ? packet : undefined;
  }

  welcome(connectionId: string, keepaliveMs: number, time: number): Buffer | undefined {
    if (this.#connected === undefined) return undefined;
    this.#phase = 'open';
    const connack = connackOf(this.#connected, { connectionId, keepaliveMs, time }, this.#limits);
    const packet = this.#fitting(encodePacket(this.#level, connack));
    if (packet !== undefined) return packet;
    const { userProperties: _, ...properties } = connack.properties ?? {};
    return encodePacket(this.#level, { ...connack, properties });
  }

  acknowledge(id: number): Buffer {
    return encodePuback(this.#level, id % ID_STEP, REASON.success);
  }

  reply(id: number, status: number, payload: Buffer): Buffer | undefined {
    const requests = this.#requests;
    const answer = requests?.answer(this.#level, id, id % ID_STEP, { status, payload });
    if (requests?.isEmpty) this.#requests = undefined;
    return answer;
  }

  get #hasCommands(): boolean {
    return (this.#subscribed & COMMAND_BITS) !== 0;
  }

  get takesCommands(): CommandReadiness {
    if (!this.#hasCommands) return 'unready';
    const { receiveMax = 0 } = this.#connected ?? {};
    const hasRoom = this.#commands?.hasRoom(receiveMax) ?? receiveMax > 0;
    return hasRoom ? 'ready' : 'busy';
  }

  command(message: CommandMessage): Buffer {
    this.#commands ??= new MqttCommands();
    return this.#commands.send(this.#level, message);
  }

  /** MQTT has no word for it; but PINGREQs that wait unread have their answer. */
  ping(): Buffer | undefined {
    if (this.unreadPings() <= this.#pongsAhead) return undefined;
    this.#pongsAhead += 1;
    return PINGRESP;
  }

  pong(): Buffer {
    return PINGRESP;
  }

  /** A goodbye says it. */
  error(error: ProtocolError): undefined {
    this.#error = error;
  }

  /** MQTT 3.1.1 has no word but the usual one (its section 3.3.5). */
  notAllowed(about: Event | Request | Greeting): Buffer | undefined {
    // CONNACK has no word for a will that is not taken.
    if (about.type === 'hello') return undefined;
    const { type, id } = about;
    if (type === 'request') return this.reply(id, STATUS.refused, NO_BYTES);
    return id === 0 ? undefined : encodePuback(this.#level, id % ID_STEP, REASON.notAuthorized);
  }

  goodbye(reason: string, retryAfter: number | undefined): Buffer | undefined {
    const level = this.#level;
    const codes = endCodesOf(reason, this.#error);
    const retry = retryAfter === undefined ? {} : { retryAfter: String(retryAfter) };
    const reasonString = this.#error?.message ?? reason;
    const properties = { reasonString, userProperties: { reason, ...retry } };
    if (this.#phase === 'connecting') {
      const connack = { cmd: 'connack', sessionPresent: false } as const;
      if (level === 4) return encodePacket(4, { ...connack, returnCode: codes.returnCode });
      return this.#told({ ...connack, reasonCode: codes.connack, properties });
    }
    if (this.#phase === 'connect' || level === 4) return undefined;
    return this.#told({ cmd: 'disconnect', reasonCode: codes.disconnect, properties });
  }

  /** With all there is to say, or without what does not fit. */
  #told(packet: Packet & { properties: object }): Buffer | undefined {
    const whole = this.#fitting(encodePacket(5, packet));
    return whole ?? this.#fitting(encodePacket(5, { ...packet, properties: {} } as Packet));
  }

  replyBytesMax(bytes: number): number {
    const overhead = this.#requests?.overhead(this.#level) ?? 0;
    return Math.min(bytes, this.#connected?.packetBytesMax ?? 0) - overhead;
  }

  commandBytesMax(topic: string, bytes: number): number {
    const overhead = commandOverhead(this.#level, topic);
    return Math.min(bytes, this.#connected?.packetBytesMax ?? 0) - overhead;
  }

  // For people, and for another process.

  describe(frame: Buffer): Received | undefined {
    return describePacket(this.#level, frame);
  }

  state(): ProtocolState {
    const remembered = {
      ...connectedState(this.#connected),
      // The device was told this, and keeps to it, whatever the limit is elsewhere.
      packetBytesMax: this.packetBytesMax,
      lastId: this.#lastId,
      subscribed: this.#subscribed,
      pongsAhead: this.#pongsAhead,
      aliases: JSON.stringify([...(this.#aliases ?? [])]),
      commands: this.#commands?.state() ?? '',
    };
    return { form: FORM, remembered, unread: this.rest() };
  }

  /** Throws nothing: what is in no form of ours is `undefined`. */
  static restore(
    { form, remembered, unread }: ProtocolState,
    limits: ProtocolLimits,
  ): MqttProtocol | undefined {
    const { packetBytesMax, lastId, subscribed, pongsAhead, aliases, commands } = remembered;
    const numbers = [packetBytesMax, lastId, subscribed, pongsAhead];
    const connected = restoreConnected(remembered);
    const isOurs = form === FORM && numbers.every(Number.isSafeInteger);
    if (!isOurs || connected === undefined) return undefined;
    const protocol = new MqttProtocol(limits);
    protocol.#connected = connected;
    protocol.#phase = 'open';
    protocol.packetBytesMax = Number(packetBytesMax);
    protocol.#lastId = Number(lastId);
    protocol.#subscribed = Number(subscribed);
    protocol.#pongsAhead = Number(pongsAhead);
    try {
      const known = new Map(JSON.parse(String(aliases)) as [number, string][]);
      if (known.size > 0) protocol.#aliases = known;
      if (commands !== '') protocol.#commands = MqttCommands.restore(String(commands));
    } catch {
      return undefined;
    }
    if (unread.length > 0) protocol.push(unread);
    return protocol;
  }
}

/** Links of MQTT 3.1.1 and 5. */
export const MQTT: ProtocolFactory = {
  make: (limits) => new MqttProtocol(limits),
  restore: (state, limits) => MqttProtocol.restore(state, limits),
};
