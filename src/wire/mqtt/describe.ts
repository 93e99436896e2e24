/**
 * Describe: a packet that Owsla has sent, as the message that it is, for who looks at its link.
 * From: a link's tap, by mqttProtocol.ts.  To: the same.
 * Bound: pure; the packet's own length.
 */
import mqtt, { type IPublishPacket, type Packet } from 'mqtt-packet';
import type { Received } from '../protocol.ts';
import type { MqttLevel } from './check.ts';
import { COMMAND_PREFIX, REPLY_PREFIX } from './topics.ts';

/** The last packet of a frame: a PUBACK may go before a PUBLISH. */
export function describePacket(level: MqttLevel, frame: Buffer): Received | undefined {
  let last: Packet | undefined;
  const parser = mqtt.parser({ protocolVersion: level });
  parser.on('packet', (packet) => {
    last = packet;
  });
  parser.on('error', () => {});
  parser.parse(frame);
  if (last === undefined) return undefined;
  if (last.cmd === 'publish') return published(last);
  if (last.cmd === 'puback') return { type: 'ack', id: last.messageId ?? 0 };
  return { type: 'aside', what: wordsOf(last), answer: undefined };
}

function published({ topic, payload, messageId = 0, properties }: IPublishPacket): Received {
  const bytes = payload as Buffer;
  if (!topic.startsWith(COMMAND_PREFIX)) {
    const said = properties?.userProperties?.status;
    const status = Number(said ?? topic.slice(topic.lastIndexOf('/') + 1));
    const id = topic.startsWith(REPLY_PREFIX) ? Number.parseInt(topic.split('/')[2] ?? '', 10) : 0;
    return { type: 'reply', id: id || 0, status, payload: bytes };
  }
  const [, , key = '', ...words] = topic.split('/');
  const expiry = properties?.messageExpiryInterval;
  return {
    ...{ type: 'command', id: messageId, topic: words.join('.'), payload: bytes },
    key: Buffer.from(key, 'hex'),
    expiresIn: expiry === undefined ? undefined : expiry * 1_000,
  };
}

/** Its name, and its code where it has one. */
function wordsOf(packet: Packet): string {
  const name = packet.cmd.toUpperCase();
  if (packet.cmd === 'suback' || packet.cmd === 'unsuback')
    return `${name} ${packet.granted ?? ''}`;
  if (packet.cmd !== 'connack' && packet.cmd !== 'disconnect') return name;
  const code = packet.reasonCode ?? (packet.cmd === 'connack' ? packet.returnCode : 0) ?? 0;
  return `${name} 0x${code.toString(16).padStart(2, '0')}`;
}
