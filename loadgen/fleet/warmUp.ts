/**
 * Warm-up: runs the code of the hot path on nothing, so that it is compiled before it counts.
 * From: worker.ts, before it says that it is ready.  To: nowhere; what it measures is thrown away.
 * Bound: ROUNDS messages, some 100 ms. Without it, the first second's messages leave late and its
 * answers are read late, and the figures show our compiler instead of the server.
 */
import { FrameReader } from '../../src/wire/frame.ts';
import { TYPE } from '../../src/wire/message.ts';
import { decode, encode } from '../../src/wire/v1.ts';
import { nowMs } from '../measure/clock.ts';
import { Ledger } from '../measure/ledger.ts';
import { Measures } from '../measure/measures.ts';
import { Violations } from '../measure/violations.ts';
import { KIND, Payloads } from '../plan/payload.ts';
import type { Plan } from '../plan/plan.ts';
import { Template } from './template.ts';

const ROUNDS = 20_000;

/** Send, echo and check messages in memory. */
export function warmUp(plan: Plan): void {
  const payloads = new Payloads(plan.run, plan.seed, plan.bytes.max);
  const measures = new Measures();
  const host = { plan, payloads, measures, violations: new Violations(), onSettled: () => {} };
  const owner = { index: 0, id: 'warm', link: 0, isFaulty: false };
  const ledger = new Ledger(owner, host);
  const template = new Template(KIND.request, plan.topic, plan.bytes);
  const frames = new FrameReader(65_536 + plan.bytes.max);
  for (let number = 1; number <= ROUNDS; number += 1) {
    const now = nowMs();
    const { kind, bytes } = template;
    const id = ledger.add({ kind, number, bytes, plannedMs: now, sentMs: now });
    const length = payloads.lengthOf(0, number, bytes);
    const frame = template.make(id, number, length);
    payloads.fill(frame, template.payloadAt, length, { device: 0, number, kind });
    const payload = frame.subarray(template.payloadAt, template.payloadAt + length);
    // The general encoder is slow: one reply for each ten requests is enough for the reading side.
    if (number % 10 !== 0) {
      ledger.onReply(id, 0, payload);
      continue;
    }
    frames.push(encode({ type: TYPE.REPLY, id, status: 0, payload }));
    const reply = decode(frames.next() ?? payload);
    if (reply.type === TYPE.REPLY) ledger.onReply(reply.id, reply.status, reply.payload);
  }
  measures.take();
}
