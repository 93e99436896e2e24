/**
 * PacketReader: the byte stream of one link, cut into whole control packets of MQTT.
 * From: socket chunks, cut anywhere.  To: mqttProtocol.ts; it is checked before anybody parses it.
 * Bound: `packetBytesMax` bytes a packet, its header included. Type, flags and length are judged
 * as soon as they are there: nothing is kept of a packet that will be refused.
 *
 * OASIS MQTT 3.1.1 and 5.0, section 2: type and flags in one byte; then how many bytes follow, in 1
 * to 4 bytes of 7 bits each, the lowest first.
 */
import { astray } from '../astray.ts';
import { Unread } from '../unread.ts';
import { MqttError, malformed, protocolError, REASON } from './reasons.ts';

/** Types of control packets: the upper half of the first byte. */
export const KIND = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15,
} as const;

/** The lower half of the first byte, of all types but PUBLISH; their index is the type. */
const FLAGS = [-1, 0, 0, -1, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0];
/** Of those that a server sends, or that QoS 2 needs. */
const NOT_FOR_DEVICES: ReadonlySet<number> = new Set<number>([
  ...[KIND.connack, KIND.suback, KIND.unsuback, KIND.pingresp],
  ...[KIND.pubrec, KIND.pubrel, KIND.pubcomp],
]);
const LENGTH_BYTES_MAX = 4;
const QOS_MASK = 0b110;
const DUP_FLAG = 0b1000;

function checkFirst(first: number): void {
  const kind = first >> 4;
  const flags = first & 0xf;
  if (kind === KIND.publish) {
    if ((flags & QOS_MASK) === QOS_MASK) throw malformed('a PUBLISH of QoS 3');
    const isAgain = (flags & DUP_FLAG) !== 0;
    if (isAgain && (flags & QOS_MASK) === 0) throw malformed('a PUBLISH of QoS 0 with DUP');
    return;
  }
  if (FLAGS[kind] !== flags) {
    const hint = astray(Buffer.of(first));
    throw malformed(`flags ${flags} of a packet of type ${kind}${hint}`);
  }
  if (NOT_FOR_DEVICES.has(kind)) {
    throw protocolError(`type ${kind} is not for devices to send`);
  }
}

/** Where the header of a whole packet ends. */
export function headerBytesOf(packet: Buffer): number {
  let at = 1;
  while ((packet[at] as number) >= 0x80) at += 1;
  return at + 1;
}

export class PacketReader extends Unread {
  /** May be raised between two packets. */
  packetBytesMax: number;

  constructor(packetBytesMax: number) {
    super();
    this.packetBytesMax = packetBytesMax;
  }

  /**
   * The next packet with its header, a view that stays valid, or `undefined` when it is incomplete.
   * Throws MqttError: `bad-frame`, `frame-too-long`, `unexpected`.
   */
  protected nextPacket(): Buffer | undefined {
    const { start, end } = this;
    if (start === end) return undefined;
    checkFirst(this.unread[start] as number);
    const bytes = this.#bytesOf(start);
    if (bytes === 0 || end - start < bytes) return this.incomplete();
    const packet = this.unread.subarray(start, start + bytes);
    this.start = start + bytes;
    // An idle link holds no bytes.
    if (this.start === end) this.drop();
    return packet;
  }

  /** All bytes of the packet that begins there; 0: that is not known yet. */
  #bytesOf(start: number): number {
    let length = 0;
    for (let read = 0; read < LENGTH_BYTES_MAX; read += 1) {
      const at = start + 1 + read;
      if (at >= this.end) return 0;
      const byte = this.unread[at] as number;
      length += (byte & 0x7f) * 128 ** read;
      if (byte >= 0x80) continue;
      if (byte === 0 && read > 0) throw malformed('a length that is longer than it has to be');
      return this.#within(2 + read + length);
    }
    throw malformed('a length of more than four bytes');
  }

  #within(bytes: number): number {
    const limit = this.packetBytesMax;
    if (bytes <= limit) return bytes;
    const what = `a packet of ${bytes} bytes; the limit is ${limit}`;
    throw new MqttError('frame-too-long', REASON.tooLarge, what);
  }

  /** PINGREQs among what is not read: those that somebody waits for an answer to. */
  protected unreadPings(): number {
    let pings = 0;
    let at = this.start;
    while (at < this.end) {
      const bytes = this.#bytesAt(at);
      if (bytes === 0 || at + bytes > this.end) break;
      if ((this.unread[at] as number) >> 4 === KIND.pingreq) pings += 1;
      at += bytes;
    }
    return pings;
  }

  /** The same, of bytes that may be wrong: whoever reads them will say so. */
  #bytesAt(start: number): number {
    try {
      return this.#bytesOf(start);
    } catch {
      return 0;
    }
  }
}
