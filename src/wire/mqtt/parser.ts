/**
 * Parser: mqtt-packet, fed with whole packets that were checked.
 * From: mqttProtocol.ts.  To: the same: a packet's fields.
 * Bound: one parser for each version in a process, and one more for each CONNECT while it is read,
 * as that one remembers it: an idle link has none.
 */
import mqtt, { type IConnectPacket, type Packet, type Parser } from 'mqtt-packet';
import type { MqttLevel } from './check.ts';
import { malformed } from './reasons.ts';

class WholePackets {
  readonly #level: MqttLevel;
  #parser: Parser;
  #packet: Packet | undefined;
  #hasFailed = false;

  constructor(level: MqttLevel) {
    this.#level = level;
    this.#parser = this.#made();
  }

  #made(): Parser {
    const parser = mqtt.parser({ protocolVersion: this.#level });
    parser.on('packet', (packet) => {
      this.#packet = packet;
    });
    parser.on('error', () => {
      this.#hasFailed = true;
    });
    return parser;
  }

  /** Buffers of it are views into `bytes`. Throws MqttError for what it does not read as one. */
  read(bytes: Buffer): Packet {
    this.#hasFailed = false;
    const rest = this.#parser.parse(bytes);
    const packet = this.#packet;
    this.#packet = undefined;
    if (packet !== undefined && !this.#hasFailed && rest === 0) return packet;
    // It serves all links, and what it has kept of this one's bytes, or its place in them, would
    // spoil the next link's: its own reset after an error leaves the place as it was.
    this.#parser = this.#made();
    throw malformed('no packet of MQTT');
  }
}

const PARSERS = { 4: new WholePackets(4), 5: new WholePackets(5) } as const;

/** The packet, of a link that speaks `level`. */
export function parsePacket(level: MqttLevel, bytes: Buffer): Packet {
  return PARSERS[level].read(bytes);
}

export function parseConnect(bytes: Buffer): IConnectPacket {
  const packet = new WholePackets(4).read(bytes);
  if (packet.cmd !== 'connect') throw malformed('no CONNECT');
  return packet;
}
