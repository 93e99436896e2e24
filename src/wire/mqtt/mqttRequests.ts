/**
 * MqttRequests: REQUESTs of one link that are open: where their answers go.
 * From: mqttProtocol.ts, of a link that has asked.  To: the same: the answer, as bytes.
 * Bound: each REQUEST is answered, so there are at most `inFlightMax`, of RESPONSE_BYTES_MAX each.
 */
import { STATUS_MAX } from '../../base/errors.ts';
import type { MqttLevel } from './check.ts';
import {
  encodePuback,
  encodePublish,
  PUBACK_BYTES_MAX,
  type PublishProperties,
  publishOverhead,
} from './packets.ts';
import type { PublishRead } from './publish.ts';
import { MqttError, REASON } from './reasons.ts';
import { isName, REPLY_PREFIX } from './topics.ts';

/** Of a Response Topic and correlation data together. */
const RESPONSE_BYTES_MAX = 256;

/** Where one answer goes. */
interface Asked {
  readonly topic: string;
  readonly correlation: Buffer | undefined;
  /** The status is the last word of its topic. */
  readonly endsWithStatus: boolean;
}

/** A Response Topic says so; else `own`, of `$owsla/request/`. */
function askedBy(own: string, { responseTopic, correlation: view }: PublishRead): Asked {
  const bytes = Buffer.byteLength(responseTopic ?? '') + (view?.length ?? 0);
  if (bytes > RESPONSE_BYTES_MAX) {
    throw new MqttError(
      'unexpected',
      REASON.quota,
      'too long a Response Topic, or its correlation',
    );
  }
  const correlation = view && Buffer.from(view);
  if (responseTopic === undefined) return { topic: own, correlation, endsWithStatus: true };
  const isOurs = responseTopic.startsWith('$') && !responseTopic.startsWith(REPLY_PREFIX);
  if (isName(responseTopic) && !isOurs) {
    return { topic: responseTopic, correlation, endsWithStatus: false };
  }
  throw new MqttError('bad-topic', REASON.topicName, 'a Response Topic that is none');
}

function propertiesOf(
  level: MqttLevel,
  { correlation }: Asked,
  status: number,
): PublishProperties | undefined {
  if (level === 4) return undefined;
  const user = [['status', String(status)]] as const;
  return correlation === undefined ? { user } : { user, correlation };
}

export class MqttRequests {
  /** By Owsla's number of the REQUEST. */
  readonly #open = new Map<number, Asked>();

  get isEmpty(): boolean {
    return this.#open.size === 0;
  }

  /** Throws MqttError for a place where no answer can go. */
  open(id: number, own: string, read: PublishRead): void {
    this.#open.set(id, askedBy(own, read));
  }

  /** The answer, behind the PUBACK of a REQUEST that wants one; undefined: it is not open. */
  answer(
    level: MqttLevel,
    id: number,
    packetId: number,
    said: { readonly status: number; readonly payload: Buffer },
  ): Buffer | undefined {
    const asked = this.#open.get(id);
    if (asked === undefined) return undefined;
    this.#open.delete(id);
    const { status, payload } = said;
    const topic = asked.endsWithStatus ? asked.topic + status : asked.topic;
    const properties = propertiesOf(level, asked, status);
    const puback = packetId === 0 ? undefined : encodePuback(level, packetId, REASON.success);
    return encodePublish({ topic, payload, packetId: 0, properties }, puback);
  }

  /** What the longest of them needs besides its payload, in bytes. */
  overhead(level: MqttLevel): number {
    let most = 0;
    for (const asked of this.#open.values()) {
      const topicBytes = Buffer.byteLength(asked.topic) + String(STATUS_MAX).length;
      const ofPublish = publishOverhead(topicBytes, propertiesOf(level, asked, STATUS_MAX));
      most = Math.max(most, ofPublish + PUBACK_BYTES_MAX);
    }
    return most;
  }
}
