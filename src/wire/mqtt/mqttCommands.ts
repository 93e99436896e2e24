/**
 * MqttCommands: COMMANDs of one link under way: whose packet identifier and key are whose.
 * From: mqttProtocol.ts, of a link that has had a COMMAND.  To: the same.
 * Bound: COMMANDS_OPEN_MAX of a link; of those that the device has taken and not answered the
 * oldest is forgotten. A packet identifier is not used again before its PUBACK.
 */
import { COMMANDS_OPEN_MAX, type CommandMessage } from '../message.ts';
import type { MqttLevel } from './check.ts';
import { encodePublish, type PublishProperties, publishOverhead } from './packets.ts';
import { COMMAND_PREFIX, slashed } from './topics.ts';

const PACKET_ID_MAX = 0xffff;
const KEY_CHARS = 32;
const MS_PER_SECOND = 1_000;
const EXPIRY_MAX = 0xffff_ffff;
/** In their longest form: for how much room a COMMAND needs. */
const LONGEST: PublishProperties = { expiry: 0, user: [['key', '0'.repeat(KEY_CHARS)]] };

/** What a COMMAND needs besides its payload, in bytes, and without a trace context. */
export function commandOverhead(level: MqttLevel, topic: string): number {
  const topicBytes = COMMAND_PREFIX.length + KEY_CHARS + 1 + topic.length;
  return publishOverhead(topicBytes, level === 4 ? undefined : LONGEST);
}

function propertiesOf(message: CommandMessage, key: string): PublishProperties {
  const { expiresIn, traceparent, tracestate } = message;
  const user: [string, string][] = [['key', key]];
  if (traceparent !== undefined) user.push(['traceparent', traceparent]);
  if (tracestate !== undefined) user.push(['tracestate', tracestate]);
  if (expiresIn === undefined) return { user };
  return { user, expiry: Math.min(Math.ceil(expiresIn / MS_PER_SECOND), EXPIRY_MAX) };
}

interface Underway {
  /** Owsla's number of the COMMAND. */
  readonly id: number;
  /** Hex. */
  readonly key: string;
  /** Its PUBACK has not come. */
  isUnacked: boolean;
  /** Its RESULT has not come. */
  isUnanswered: boolean;
}

export class MqttCommands {
  /** By packet identifier, in the order of sending. */
  readonly #underway = new Map<number, Underway>();
  #unacked = 0;
  #lastPacketId = 0;

  /** One more may be sent to a device that takes so many without PUBACK. */
  hasRoom(receiveMax: number): boolean {
    return this.#unacked < Math.min(receiveMax, COMMANDS_OPEN_MAX);
  }

  /** None of them is remembered. */
  get isEmpty(): boolean {
    return this.#underway.size === 0;
  }

  /** As a PUBLISH. There are less than COMMANDS_OPEN_MAX without PUBACK. */
  send(level: MqttLevel, message: CommandMessage): Buffer {
    const key = message.key?.toString('hex') ?? '';
    return encodePublish({
      topic: `${COMMAND_PREFIX}${key}/${slashed(message.topic)}`,
      payload: message.payload,
      packetId: this.#open(message.id, key),
      properties: level === 4 ? undefined : propertiesOf(message, key),
    });
  }

  /** Its packet identifier. */
  #open(id: number, key: string): number {
    if (this.#underway.size >= COMMANDS_OPEN_MAX) this.#forgetOldest();
    do {
      this.#lastPacketId = this.#lastPacketId === PACKET_ID_MAX ? 1 : this.#lastPacketId + 1;
    } while (this.#underway.has(this.#lastPacketId));
    const underway = { id, key, isUnacked: true, isUnanswered: true };
    this.#underway.set(this.#lastPacketId, underway);
    this.#unacked += 1;
    return this.#lastPacketId;
  }

  #forgetOldest(): void {
    for (const [packetId, { isUnacked }] of this.#underway) {
      if (isUnacked) continue;
      this.#underway.delete(packetId);
      return;
    }
  }

  /**
   * A PUBACK: Owsla's number of the COMMAND that was taken; 0 for none that waits for one, and
   * undefined when its RESULT came before.
   */
  acked(packetId: number): number | undefined {
    const found = this.#underway.get(packetId);
    if (!found?.isUnacked) return 0;
    found.isUnacked = false;
    this.#unacked -= 1;
    if (found.isUnanswered) return found.id;
    this.#underway.delete(packetId);
    return undefined;
  }

  /** A PUBACK that refuses it, and so is its RESULT; as `acked`. */
  refused(packetId: number): number | undefined {
    const id = this.acked(packetId);
    if (id !== undefined && id !== 0) this.#underway.delete(packetId);
    return id;
  }

  /** A RESULT: Owsla's number of the COMMAND; 0 for none that waits for one. */
  answered(key: string): number {
    for (const [packetId, underway] of this.#underway) {
      if (underway.key !== key || !underway.isUnanswered) continue;
      underway.isUnanswered = false;
      if (!underway.isUnacked) this.#underway.delete(packetId);
      return underway.id;
    }
    return 0;
  }

  /** Written down, as text. */
  state(): string {
    const all = [...this.#underway].map(([packetId, one]) => [
      ...[packetId, one.id, one.key, one.isUnacked, one.isUnanswered],
    ]);
    return JSON.stringify([this.#lastPacketId, all]);
  }

  /** Throws for what `state` did not write. */
  static restore(text: string): MqttCommands {
    const [last, all] = JSON.parse(text) as [number, [number, number, string, boolean, boolean][]];
    const commands = new MqttCommands();
    commands.#lastPacketId = Number(last);
    for (const [packetId, id, key, isUnacked, isUnanswered] of all.slice(0, COMMANDS_OPEN_MAX)) {
      commands.#underway.set(packetId, { id, key, isUnacked, isUnanswered });
      if (isUnacked) commands.#unacked += 1;
    }
    return commands;
  }
}
