/**
 * RawLink: bytes to an MQTT listener, good or bad, and what comes back.
 * From: a test.  To: the packets that the server said, and whether it closed.
 * A PINGREQ goes behind the bytes: its PINGRESP, or the end of the link, says that they were
 * handled. Bound: waitFor's.
 */
import { connect } from 'node:net';
import mqtt, { type Packet } from 'mqtt-packet';
import { waitFor } from '../../helpers/waitFor.ts';

const PINGREQ = Buffer.from('c000', 'hex');
const PINGRESP = Buffer.from('d000', 'hex');

/** Of a PUBLISH's first byte: its type and its QoS. */
const QOS_BITS = 0xf6;
const QOS1 = 0x32;
const isPuback = (packet: Buffer) => packet[0] === 0x40;

export interface Exchange {
  /** What the server said, without the PINGRESP to ours. */
  readonly packets: readonly Packet[];
  readonly bytes: Buffer;
  /** It was there for our PINGREQ. */
  readonly isOpen: boolean;
}

/** Where the packet that begins there ends; undefined: not all of it is there. */
function endOf(bytes: Buffer, start: number): number | undefined {
  let length = 0;
  for (let at = start + 1; at < Math.min(bytes.length, start + 5); at += 1) {
    const byte = bytes[at] as number;
    length += (byte & 0x7f) * 128 ** (at - start - 1);
    if (byte < 0x80) return at + 1 + length <= bytes.length ? at + 1 + length : undefined;
  }
  return undefined;
}

/** Are these whole packets, by their lengths? */
export function isWhole(bytes: Buffer): boolean {
  let at: number | undefined = 0;
  while (at !== undefined && at < bytes.length) at = endOf(bytes, at);
  return at !== undefined;
}

function cut(bytes: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = endOf(bytes, at) ?? bytes.length;
    packets.push(bytes.subarray(at, end));
    at = end;
  }
  return packets;
}

function parsed(bytes: Buffer, version: 4 | 5): Packet[] {
  const packets: Packet[] = [];
  const parser = mqtt.parser({ protocolVersion: version });
  parser.on('packet', (packet) => packets.push(packet));
  parser.parse(bytes);
  return packets;
}

/**
 * One link: sends all of these, each when the server has answered all before; then the PINGREQ.
 */
export async function exchange(
  port: number,
  version: 4 | 5,
  ...sends: readonly Buffer[]
): Promise<Exchange> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let bytes: Buffer = Buffer.alloc(0);
  let isOver = false;
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    isOver = true;
  });
  const count = (isIt: (packet: Buffer) => boolean) => cut(bytes).filter(isIt).length;
  let acks = 0;
  const isHandled = (pings: number) =>
    count((packet) => packet.equals(PINGRESP)) >= pings && count(isPuback) >= acks;
  try {
    for (const [index, send] of sends.entries()) {
      socket.write(Buffer.concat([send, PINGREQ]));
      // A PUBACK waits for the broker, which the PINGRESP does not.
      if (((send[0] as number) & QOS_BITS) === QOS1) acks += 1;
      await waitFor(`an answer to ${send.toString('hex')}`, () => isOver || isHandled(index + 1));
      if (isOver) break;
    }
  } finally {
    socket.destroy();
  }
  const said = cut(bytes).filter((packet) => !packet.equals(PINGRESP));
  const own = Buffer.concat(said);
  return { packets: parsed(own, version), bytes: own, isOpen: !isOver };
}

/** What the server said, with its codes. */
export function wordOf(packet: Packet): string {
  if (packet.cmd === 'connack') return `connack ${packet.reasonCode ?? packet.returnCode ?? 0}`;
  if (packet.cmd === 'disconnect') return `disconnect ${packet.reasonCode ?? 0}`;
  if (packet.cmd === 'puback') return `puback ${packet.reasonCode ?? 0}`;
  if (packet.cmd === 'suback') return `suback ${packet.granted.join(' ')}`;
  return packet.cmd;
}

/** A CONNECT that is as it should be. */
export function connectPacket(version: 4 | 5, clientId: string, more: object = {}): Buffer {
  const base = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: version } as const;
  const packet = { ...base, clientId, keepalive: 60, clean: true, ...more };
  return mqtt.generate(packet as Packet, { protocolVersion: version });
}

export function packetOf(version: 4 | 5, packet: Packet): Buffer {
  return mqtt.generate(packet, { protocolVersion: version });
}
