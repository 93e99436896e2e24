/**
 * Speeches: which of them a plan's devices have.
 * From: the plan.  To: worker.ts, for its fleet; warmUp.ts.
 * Bound: the closed list of plan.ts, and the plan's own module.
 */
import mqtt from 'mqtt-packet';
import { TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import type { Plan } from '../plan/plan.ts';
import { MqttSpeech } from './mqttSpeech.ts';
import { OwnSpeech } from './ownSpeech.ts';
import type { Speech } from './speech.ts';

/** Throws UsageError. */
export async function speechOf(plan: Plan): Promise<Speech> {
  const { protocol, keepaliveS, commands, module } = plan;
  if (module !== undefined) {
    // Most runs have none, and need not wait for all that it takes.
    const { speechOfModule } = await import('./simulation.ts');
    return await speechOfModule(module);
  }
  if (protocol === 'owsla') return new OwnSpeech(keepaliveS);
  return new MqttSpeech(protocol === 'mqtt' ? 4 : 5, keepaliveS, commands.isOn);
}

/** What a server would answer. */
export function replyForWarmUp({ protocol }: Plan, id: number, payload: Buffer): Buffer {
  if (protocol === 'owsla') return encode({ type: TYPE.REPLY, id, status: 0, payload });
  const publish = { cmd: 'publish', qos: 0, dup: false, retain: false, payload } as const;
  if (protocol === 'mqtt') return mqtt.generate({ ...publish, topic: `$owsla/reply/${id}/0` });
  const correlationData = Buffer.alloc(4);
  correlationData.writeUInt32BE(id);
  const properties = { correlationData, userProperties: { status: '0' } };
  const five = { protocolVersion: 5 };
  return mqtt.generate({ ...publish, topic: '$owsla/reply/lg', properties }, five);
}
