/**
 * Connect: a CONNECT as a greeting, and what a link has to remember of it; and the CONNACK.
 * From: mqttProtocol.ts, with a packet that was checked.  To: the same.
 * Bound: pure. What Owsla does not do is refused here, each with its reason code; its own answer
 * names what it does.
 */
import type { IConnackPacket, IConnectPacket } from 'mqtt-packet';
import { DEVICE_ID, DEVICE_ID_RULE } from '../../base/names.ts';
import type { Will } from '../message.ts';
import type { Greeting, ProtocolLimits, ProtocolState } from '../protocol.ts';
import type { MqttLevel } from './check.ts';
import { MqttError, protocolError, REASON } from './reasons.ts';
import { dotted, REPLY_PREFIX } from './topics.ts';

/** Names that a device may have for its topics, at once. */
export const TOPIC_ALIASES_MAX = 16;
const PACKET_BYTES_MAX = 0xffff_ffff;
const RECEIVE_MAX = 0xffff;
/** A CONNACK without what may be left out is shorter. */
const CONNACK_BYTES_MAX = 64;
const MS_PER_SECOND = 1_000;

/** What a link remembers of its CONNECT. */
export interface Connected {
  readonly level: MqttLevel;
  /** Seconds, as asked for. */
  readonly keepalive: number;
  /** Longest packet that the device takes, in bytes. */
  readonly packetBytesMax: number;
  /** PUBLISHes of QoS 1 that it takes without a PUBACK. */
  readonly receiveMax: number;
  /** Its session would outlive the link. */
  readonly hasExpiry: boolean;
  /** It asks where answers may go. */
  readonly wantsInfo: boolean;
}

export function connectedBy(packet: IConnectPacket): Connected {
  const { protocolVersion, keepalive = 0, properties } = packet;
  return {
    level: protocolVersion === 5 ? 5 : 4,
    keepalive,
    packetBytesMax: properties?.maximumPacketSize ?? PACKET_BYTES_MAX,
    receiveMax: properties?.receiveMaximum ?? RECEIVE_MAX,
    hasExpiry: (properties?.sessionExpiryInterval ?? 0) > 0,
    wantsInfo: properties?.requestResponseInformation === true,
  };
}

/** Of a CONNECT that is wrong: no more than how its device is told so. */
export function unreadConnect(level: MqttLevel): Connected {
  return { ...connectedBy({ cmd: 'connect', clientId: '' }), level };
}

/** It, written down. */
export function connectedState(connected: Connected | undefined): ProtocolState['remembered'] {
  const { level = 4, keepalive = 0, packetBytesMax = 0, receiveMax = 0 } = connected ?? {};
  const hasExpiry = Number(connected?.hasExpiry ?? false);
  return { level, keepalive, deviceBytesMax: packetBytesMax, receiveMax, hasExpiry };
}

/** Undefined: it is in no such form. */
export function restoreConnected(state: ProtocolState['remembered']): Connected | undefined {
  const { level, keepalive, deviceBytesMax, receiveMax, hasExpiry } = state;
  const numbers = [keepalive, deviceBytesMax, receiveMax, hasExpiry];
  if ((level !== 4 && level !== 5) || !numbers.every(Number.isSafeInteger)) return undefined;
  return {
    ...{ level, keepalive: Number(keepalive), receiveMax: Number(receiveMax) },
    ...{ packetBytesMax: Number(deviceBytesMax), hasExpiry: hasExpiry === 1, wantsInfo: false },
  };
}

/** Throws MqttError for what Owsla does not do. */
export function greetingOf(packet: IConnectPacket, limits: ProtocolLimits): Greeting {
  const { clientId, password, keepalive = 0, properties, protocolVersion } = packet;
  if (properties?.authenticationMethod !== undefined) {
    throw new MqttError('auth-failed', REASON.authMethod, 'no authentication by AUTH');
  }
  if (!DEVICE_ID.test(clientId)) {
    throw new MqttError('bad-device-id', REASON.clientId, DEVICE_ID_RULE);
  }
  const bytesMax = properties?.maximumPacketSize ?? PACKET_BYTES_MAX;
  if (bytesMax < CONNACK_BYTES_MAX) {
    throw new MqttError('unexpected', REASON.tooLarge, `packets of at most ${bytesMax} bytes`);
  }
  const isFixed = protocolVersion !== 5;
  if (isFixed && keepalive * MS_PER_SECOND > limits.keepaliveMaxMs) {
    const what = `a keepalive of ${keepalive} s; the limit is ${limits.keepaliveMaxMs} ms`;
    throw protocolError(what);
  }
  const will = willOf(packet);
  return {
    type: 'hello',
    deviceId: clientId,
    token: password?.toString(),
    keepalive,
    frameBytesMax: properties?.maximumPacketSize,
    ...(isFixed ? { isKeepaliveFixed: true } : {}),
    ...(packet.clean === true ? { isCleanStart: true } : {}),
    ...(will === undefined ? {} : { will }),
  };
}

/** The will waits as long as it asks to, and not longer than its session would. */
function willOf({ will, properties, protocolVersion }: IConnectPacket): Will | undefined {
  if (will === undefined) return undefined;
  if (will.qos === 2) throw new MqttError('unexpected', REASON.qos, 'a will of QoS 2');
  const topic = dotted(will.topic);
  if (topic === undefined) {
    throw new MqttError(
      'bad-topic',
      REASON.topicName,
      'a will to a topic that Owsla does not take',
    );
  }
  const delay = will.properties?.willDelayInterval ?? 0;
  const expiry = protocolVersion === 5 ? (properties?.sessionExpiryInterval ?? 0) : 0;
  const delayMs = Math.min(delay, expiry) * MS_PER_SECOND;
  return { topic, payload: Buffer.from(will.payload), delayMs, rules: 'mqtt' };
}

/** Told to every device of MQTT 5: what it can rely on. */
export interface Welcomed {
  readonly connectionId: string;
  readonly keepaliveMs: number;
  readonly time: number;
}

export function connackOf(
  { level, keepalive, wantsInfo }: Connected,
  { connectionId, keepaliveMs, time }: Welcomed,
  { frameBytesMax, inFlightMax }: ProtocolLimits,
): IConnackPacket {
  if (level === 4) return { cmd: 'connack', returnCode: 0, sessionPresent: false };
  const serverKeepAlive = keepaliveMs / MS_PER_SECOND;
  return {
    cmd: 'connack',
    reasonCode: REASON.success,
    sessionPresent: false,
    properties: {
      receiveMaximum: Math.min(inFlightMax, RECEIVE_MAX),
      maximumQoS: 1,
      maximumPacketSize: frameBytesMax,
      topicAliasMaximum: TOPIC_ALIASES_MAX,
      subscriptionIdentifiersAvailable: false,
      sharedSubscriptionAvailable: false,
      ...(serverKeepAlive === keepalive ? {} : { serverKeepAlive }),
      ...(wantsInfo ? { responseInformation: REPLY_PREFIX } : {}),
      userProperties: { connection: connectionId, time: String(time) },
    },
  };
}
