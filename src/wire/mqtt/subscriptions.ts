/**
 * Subscriptions: which of them Owsla grants, and what it answers.
 * From: mqttProtocol.ts, a SUBSCRIBE or an UNSUBSCRIBE that was checked.  To: the same, with the
 * filters that the link has now, and the SUBACK or UNSUBACK.
 * Bound: pure; what a link remembers is a bit for each filter of topics.ts.
 */
import type {
  ISubackPacket,
  ISubscribePacket,
  IUnsubackPacket,
  IUnsubscribePacket,
} from 'mqtt-packet';
import type { MqttLevel } from './check.ts';
import { MqttError, malformed, REASON } from './reasons.ts';
import { COMMAND_BITS, filterBit, isFilter, isShared } from './topics.ts';

export interface Granted<P> {
  /** Bits of the filters that the link has now. */
  readonly bits: number;
  readonly answer: P;
}

/** SUBACK's one word of MQTT 3.1.1 for a filter that is not granted. */
const FAILURE = 0x80;

/** Throws MqttError for what ends a link. */
export function subscribe(
  level: MqttLevel,
  before: number,
  { messageId = 0, subscriptions, properties }: ISubscribePacket,
): Granted<ISubackPacket> {
  if (properties?.subscriptionIdentifier !== undefined) {
    throw new MqttError('unexpected', REASON.subscriptionId, 'no subscription identifiers');
  }
  let bits = before;
  const granted = subscriptions.map(({ topic, qos }) => {
    checkFilter(level, topic);
    const bit = filterBit(topic);
    if (bit === undefined) return level === 4 ? FAILURE : REASON.topicFilter;
    // A COMMAND is sent until its device takes it: that needs an acknowledgement.
    if ((bit & COMMAND_BITS) !== 0 && qos === 0) {
      return level === 4 ? FAILURE : REASON.implementation;
    }
    bits |= bit;
    return Math.min(qos, 1);
  });
  return { bits, answer: { cmd: 'suback', messageId, granted } };
}

export function unsubscribe(
  level: MqttLevel,
  before: number,
  { messageId = 0, unsubscriptions }: IUnsubscribePacket,
): Granted<IUnsubackPacket> {
  let bits = before;
  const granted = unsubscriptions.map((topic) => {
    checkFilter(level, topic);
    const bit = filterBit(topic);
    const isThere = bit !== undefined && (bit === 0 || (bits & bit) !== 0);
    bits &= ~(bit ?? 0);
    return isThere ? REASON.success : REASON.noSubscription;
  });
  return { bits, answer: { cmd: 'unsuback', messageId, granted } };
}

function checkFilter(level: MqttLevel, filter: string): void {
  if (!isFilter(filter)) throw malformed('a topic filter that is none');
  if (level === 5 && isShared(filter)) {
    throw new MqttError('unexpected', REASON.sharedSubscription, 'no shared subscriptions');
  }
}
