/**
 * Reasons: why a link of MQTT ends or is refused, in the codes that its devices know: one table.
 * From: check.ts and mqttProtocol.ts, which find what is wrong; Owsla's own words for an end.
 * To: packets.ts, for CONNACK and DISCONNECT.
 * Bound: a closed list; test/unit/mqttReasons.test.ts asks for every word of base/errors.ts.
 */
import { type ByeReason, type FatalCode, ProtocolError } from '../../base/errors.ts';

/** Reason codes of MQTT 5, as far as Owsla says them (its section 2.4). */
export const REASON = {
  success: 0x00,
  noSubscription: 0x11,
  malformed: 0x81,
  protocolError: 0x82,
  implementation: 0x83,
  version: 0x84,
  clientId: 0x85,
  notAuthorized: 0x87,
  unavailable: 0x88,
  busy: 0x89,
  banned: 0x8a,
  shuttingDown: 0x8b,
  authMethod: 0x8c,
  keepAlive: 0x8d,
  takenOver: 0x8e,
  topicFilter: 0x8f,
  topicName: 0x90,
  topicAlias: 0x94,
  tooLarge: 0x95,
  quota: 0x97,
  administrative: 0x98,
  qos: 0x9b,
  sharedSubscription: 0x9e,
  rate: 0x9f,
  connectTime: 0xa0,
  subscriptionId: 0xa1,
} as const;
export type ReasonCode = (typeof REASON)[keyof typeof REASON];

/** Return codes of a CONNACK of MQTT 3.1.1 (its section 3.2.2.3). */
const RETURN = { version: 1, clientId: 2, unavailable: 3, notAuthorized: 5 } as const;

/** One end: in a DISCONNECT of MQTT 5, in its CONNACK, and in that of MQTT 3.1.1. */
export interface EndCodes {
  readonly disconnect: ReasonCode;
  readonly connack: ReasonCode;
  readonly returnCode: number;
}

function codes(disconnect: ReasonCode, connack: ReasonCode, returnCode: number): EndCodes {
  return { disconnect, connack, returnCode };
}

/** Nothing of it comes before CONNECT: then the link is closed without a word, as MQTT has none. */
export const END_CODES: Readonly<Record<ByeReason | FatalCode, EndCodes>> = {
  'bad-frame': codes(REASON.malformed, REASON.malformed, RETURN.notAuthorized),
  'frame-too-long': codes(REASON.tooLarge, REASON.tooLarge, RETURN.notAuthorized),
  unexpected: codes(REASON.protocolError, REASON.protocolError, RETURN.notAuthorized),
  'bad-id': codes(REASON.protocolError, REASON.protocolError, RETURN.notAuthorized),
  'bad-topic': codes(REASON.topicName, REASON.topicName, RETURN.notAuthorized),
  'bad-device-id': codes(REASON.protocolError, REASON.clientId, RETURN.clientId),
  version: codes(REASON.protocolError, REASON.version, RETURN.version),
  'auth-failed': codes(REASON.notAuthorized, REASON.notAuthorized, RETURN.notAuthorized),
  'greeting-timeout': codes(REASON.notAuthorized, REASON.unavailable, RETURN.unavailable),
  'keepalive-timeout': codes(REASON.keepAlive, REASON.unavailable, RETURN.unavailable),
  'outbox-full': codes(REASON.quota, REASON.quota, RETURN.unavailable),
  'server-full': codes(REASON.busy, REASON.busy, RETURN.unavailable),
  'memory-full': codes(REASON.quota, REASON.busy, RETURN.unavailable),
  'rate-limited': codes(REASON.rate, REASON.rate, RETURN.unavailable),
  draining: codes(REASON.shuttingDown, REASON.unavailable, RETURN.unavailable),
  'taken-over': codes(REASON.takenOver, REASON.unavailable, RETURN.unavailable),
  'broker-lost': codes(REASON.busy, REASON.unavailable, RETURN.unavailable),
  'auth-unavailable': codes(REASON.busy, REASON.unavailable, RETURN.unavailable),
  'auth-expired': codes(REASON.connectTime, REASON.notAuthorized, RETURN.notAuthorized),
  blocked: codes(REASON.administrative, REASON.banned, RETURN.notAuthorized),
  disconnected: codes(REASON.administrative, REASON.unavailable, RETURN.unavailable),
};

/** What a device did wrong, and the code of MQTT 5 for it where it is not its word's own. */
export class MqttError extends ProtocolError {
  readonly reasonCode: ReasonCode;

  constructor(code: FatalCode, reasonCode: ReasonCode, message: string) {
    super(code, message);
    this.reasonCode = reasonCode;
  }
}

export function malformed(what: string): MqttError {
  return new MqttError('bad-frame', REASON.malformed, what);
}

export function protocolError(what: string): MqttError {
  return new MqttError('unexpected', REASON.protocolError, what);
}

/** The codes of an end; `error`: what led to it. */
export function endCodesOf(reason: string, error: ProtocolError | undefined): EndCodes {
  const known = END_CODES[reason as ByeReason | FatalCode] ?? END_CODES.unexpected;
  if (!(error instanceof MqttError) || error.code !== reason) return known;
  return { ...known, disconnect: error.reasonCode, connack: error.reasonCode };
}
