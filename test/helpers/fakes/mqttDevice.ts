/** A device of MQTT for tests: packets by name, or raw bytes; and what comes back, one by one. */
import type { Duplex } from 'node:stream';
import mqtt, {
  type IConnectPacket,
  type IPublishPacket,
  type Packet,
  type Parser,
} from 'mqtt-packet';
import type { MqttLevel } from '../../../src/wire/mqtt/check.ts';

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

/** Stands in the queue of packets where the server's FIN or the loss of the link came. */
export const MQTT_END = 'end' as const;
type Item = Packet | typeof MQTT_END;

export class MqttDevice {
  readonly socket: Duplex;
  readonly level: MqttLevel;
  readonly #items: Item[] = [];
  readonly #takers: ((item: Item) => void)[] = [];
  #isEnded = false;

  constructor(socket: Duplex, level: MqttLevel) {
    this.socket = socket;
    this.level = level;
    const parser = parserOf(level, (packet) => this.#put(packet));
    socket.on('data', (chunk: Buffer) => parser.parse(chunk));
    const end = () => {
      if (this.#isEnded) return;
      this.#isEnded = true;
      this.#put(MQTT_END);
    };
    socket.on('end', end);
    socket.on('close', end);
    socket.on('error', () => {});
  }

  #put(item: Item): void {
    const taker = this.#takers.shift();
    if (taker) taker(item);
    else this.#items.push(item);
  }

  send(...packets: Packet[]): void {
    this.socket.write(bytesOf(this.level, ...packets));
  }

  sendBytes(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** The next packet, or the end. Waits as long as it takes: tests have their own deadline. */
  next(): Promise<Item> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  /** The next packet, which must be of this kind. */
  async expect<C extends Packet['cmd']>(cmd: C): Promise<Extract<Packet, { cmd: C }>> {
    const item = await this.next();
    if (item === MQTT_END || item.cmd !== cmd) {
      throw new Error(`expected ${cmd}, got ${JSON.stringify(item)}`);
    }
    return item as Extract<Packet, { cmd: C }>;
  }

  /** Everything up to the end of the link. */
  async rest(): Promise<Packet[]> {
    const packets: Packet[] = [];
    for (;;) {
      const item = await this.next();
      if (item === MQTT_END) return packets;
      packets.push(item);
    }
  }

  close(): void {
    this.socket.destroy();
  }
}
