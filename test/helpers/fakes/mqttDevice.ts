/** A device of MQTT for tests: packets by name, or raw bytes; and what comes back, one by one. */
import type { Duplex } from 'node:stream';
import mqtt, {
  type IConnectPacket,
  type IPublishPacket,
  type Packet,
  type Parser,
} from 'mqtt-packet';
import type { MqttLevel } from '../../../src/wire/mqtt/check.ts';
import { END, ItemQueue } from './itemQueue.ts';

export const LEVELS: readonly MqttLevel[] = [4, 5];

export function connectPacket(
  level: MqttLevel,
  clientId = 'door-17',
  more: Partial<IConnectPacket> = {},
): Buffer {
  const packet: IConnectPacket = { cmd: 'connect', protocolId: 'MQTT', clientId, keepalive: 60 };
  return mqtt.generate({ ...packet, protocolVersion: level, clean: true, ...more });
}

export function bytesOf(level: MqttLevel, ...packets: Packet[]): Buffer {
  return Buffer.concat(packets.map((one) => mqtt.generate(one, { protocolVersion: level })));
}

/** QoS 1, unless `messageId` is 0. */
export function publishOf(
  topic: string,
  messageId = 1,
  more: Partial<IPublishPacket> = {},
): IPublishPacket {
  const qos = messageId === 0 ? 0 : 1;
  const base = {
    cmd: 'publish',
    qos,
    dup: false,
    retain: false,
    payload: Buffer.from('21.5'),
  } as const;
  return { ...base, topic, ...(messageId === 0 ? {} : { messageId }), ...more };
}

export function subscribeOf(...topics: string[]): Packet {
  const subscriptions = topics.map((topic) => ({
    topic,
    qos: 1 as const,
    nl: false,
    rap: false,
    rh: 0,
  }));
  return { cmd: 'subscribe', messageId: 9, subscriptions };
}

/** All packets of these bytes, that a server sent. */
export function packetsIn(level: MqttLevel, bytes: Buffer): Packet[] {
  const packets: Packet[] = [];
  parserOf(level, (packet) => packets.push(packet)).parse(bytes);
  return packets;
}

function parserOf(level: MqttLevel, onPacket: (packet: Packet) => void): Parser {
  const parser = mqtt.parser({ protocolVersion: level });
  parser.on('packet', onPacket);
  parser.on('error', (error) => {
    throw error;
  });
  return parser;
}

export class MqttDevice extends ItemQueue<Packet> {
  readonly level: MqttLevel;

  constructor(socket: Duplex, level: MqttLevel) {
    super(socket);
    this.level = level;
    const parser = parserOf(level, (packet) => this.put(packet));
    socket.on('data', (chunk: Buffer) => parser.parse(chunk));
  }

  send(...packets: Packet[]): void {
    this.socket.write(bytesOf(this.level, ...packets));
  }

  /** The next packet, which must be of this kind. */
  async expect<C extends Packet['cmd']>(cmd: C): Promise<Extract<Packet, { cmd: C }>> {
    const item = await this.next();
    if (item === END || item.cmd !== cmd) {
      throw new Error(`expected ${cmd}, got ${JSON.stringify(item)}`);
    }
    return item as Extract<Packet, { cmd: C }>;
  }
}
