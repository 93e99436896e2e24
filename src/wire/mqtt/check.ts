/**
 * Check: is this packet what the standard says, byte by byte? What mqtt-packet lets pass is refused
 * here, before it parses: text that is no UTF-8, properties that do not belong or come twice,
 * lengths that do not meet, numbers out of range. A PUBLISH is publish.ts's.
 * From: mqttProtocol.ts, one whole packet.  To: parser.ts, if nothing is thrown.
 * Bound: pure; the packet's own length. MqttError costs the link.
 */
import {
  beginFields,
  checkAtEnd,
  fieldCursor,
  PROPERTIES_IN,
  skipBin,
  skipPacketId,
  skipProperties,
  skipText,
  takeU8,
  takeU16,
} from './fields.ts';
import { KIND } from './packetReader.ts';
import { MqttError, malformed, protocolError, REASON } from './reasons.ts';

/** Of MQTT: 4 is 3.1.1. */
export type MqttLevel = 4 | 5;

const CONNECT = { will: 0x04, willRetain: 0x20, password: 0x40, user: 0x80 } as const;

/** The version first: another one may have another shape behind it. */
function checkConnect(): void {
  const protocol = fieldCursor.bytes.toString('latin1', fieldCursor.at + 2, fieldCursor.at + 6);
  const start = fieldCursor.at;
  skipBin();
  const length = fieldCursor.at - start - 2;
  const isOld = length === 6;
  if (!(length === 4 && protocol === 'MQTT') && !isOld) throw malformed('a protocol of no name');
  const level = takeU8();
  if (isOld || (level !== 4 && level !== 5)) {
    throw new VersionError(isOld ? 3 : level);
  }
  const flags = takeU8();
  if ((flags & 1) !== 0) throw malformed('a reserved flag of CONNECT');
  const willQos = (flags >> 3) & 0b11;
  const hasWill = (flags & CONNECT.will) !== 0;
  if (willQos === 3) throw malformed('a will of QoS 3');
  if (!hasWill && (willQos !== 0 || (flags & CONNECT.willRetain) !== 0)) {
    throw malformed('flags of a will, and no will');
  }
  const hasUser = (flags & CONNECT.user) !== 0;
  const hasPassword = (flags & CONNECT.password) !== 0;
  if (level === 4 && hasPassword && !hasUser) throw malformed('a password without a user name');
  takeU16();
  if (level === 5) skipProperties(PROPERTIES_IN.connect);
  skipText();
  if (hasWill) {
    if (level === 5) skipProperties(PROPERTIES_IN.will);
    skipText();
    skipBin();
  }
  if (hasUser) skipText();
  if (hasPassword) skipBin();
  checkAtEnd();
}

/** A version that Owsla does not speak: it is told so in the form of the nearest that it does. */
export class VersionError extends MqttError {
  readonly answerAs: MqttLevel;

  constructor(level: number) {
    super('version', REASON.version, 'this server speaks MQTT 3.1.1 and 5');
    this.answerAs = level > 5 ? 5 : 4;
  }
}

function checkPuback(level: MqttLevel): void {
  skipPacketId();
  if (level === 4 || fieldCursor.at === fieldCursor.end) return;
  const code = takeU8();
  if (!PUBACK_CODES.has(code)) throw malformed(`a PUBACK with code ${code}`);
  if (fieldCursor.at < fieldCursor.end) skipProperties(PROPERTIES_IN.puback);
}

/** MQTT 5, section 3.4.2.1. */
const PUBACK_CODES: ReadonlySet<number> = new Set([
  ...[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
]);

function checkSubscribe(level: MqttLevel): void {
  skipPacketId();
  if (level === 5) skipProperties(PROPERTIES_IN.subscribe);
  if (fieldCursor.at === fieldCursor.end) throw protocolError('a SUBSCRIBE to nothing');
  while (fieldCursor.at < fieldCursor.end) {
    skipText();
    checkOptions(level, takeU8());
    fieldCursor.items += 1;
  }
}

function checkOptions(level: MqttLevel, options: number): void {
  if ((options & 0b11) === 3) throw malformed('a subscription of QoS 3');
  if ((options & (level === 4 ? 0xfc : 0xc0)) !== 0) throw malformed('reserved bits of options');
  if (((options >> 4) & 0b11) === 3) throw protocolError('retain handling 3');
}

function checkUnsubscribe(level: MqttLevel): void {
  skipPacketId();
  if (level === 5) skipProperties(PROPERTIES_IN.unsubscribe);
  if (fieldCursor.at === fieldCursor.end) throw protocolError('an UNSUBSCRIBE from nothing');
  while (fieldCursor.at < fieldCursor.end) {
    skipText();
    fieldCursor.items += 1;
  }
}

function checkDisconnect(level: MqttLevel): void {
  if (level === 4 || fieldCursor.at === fieldCursor.end) return;
  const code = takeU8();
  if (!DISCONNECT_CODES.has(code)) throw protocolError(`a DISCONNECT with code ${code}`);
  if (fieldCursor.at < fieldCursor.end) skipProperties(PROPERTIES_IN.disconnect);
}

/** Those that a device may give (MQTT 5, section 3.14.2.1). */
const DISCONNECT_CODES: ReadonlySet<number> = new Set([
  ...[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99],
]);

/**
 * Throws MqttError for a packet that is not as the standard has it. `level`: what the link speaks;
 * 0: only a CONNECT says so. Gives how many parts it has.
 */
export function checkPacket(level: MqttLevel | 0, packet: Buffer, bodyAt: number): number {
  beginFields(packet, bodyAt);
  const first = packet[0] as number;
  if (level === 0) checkConnect();
  else checkBody(level, first >> 4);
  return fieldCursor.items;
}

function checkBody(level: MqttLevel, kind: number): void {
  switch (kind) {
    case KIND.puback:
      checkPuback(level);
      break;
    case KIND.subscribe:
      checkSubscribe(level);
      break;
    case KIND.unsubscribe:
      checkUnsubscribe(level);
      break;
    case KIND.disconnect:
      checkDisconnect(level);
      break;
    case KIND.pingreq:
      break;
    case KIND.connect:
      throw protocolError('a second CONNECT');
    default:
      throw protocolError('no authentication by AUTH');
  }
  checkAtEnd();
}
