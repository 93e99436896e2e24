/**
 * Warm-up: runs the code of the hot path on nothing, so that it is compiled before it counts.
 * From: worker.ts, before it says that it is ready.  To: nowhere; what it measures is thrown away.
 * Bound: ROUNDS messages, some 100 ms. Without it, the first second's messages leave late and its
 * answers are read late, and the figures show our compiler instead of the server.
 */
import { nowMs } from '../measure/clock.ts';
import { Ledger } from '../measure/ledger.ts';
import { Measures } from '../measure/measures.ts';
import { Violations } from '../measure/violations.ts';
import { KIND, Payloads } from '../plan/payload.ts';
import type { Plan } from '../plan/plan.ts';
import type { Speech } from './speech.ts';
import { replyForWarmUp } from './speeches.ts';

const ROUNDS = 20_000;

/** Send, echo and check messages in memory. Of a module's own protocol nobody here can answer. */
export function warmUp(plan: Plan, speech: Speech): void {
  if (plan.module !== undefined) return;
  const payloads = new Payloads(plan.run, plan.seed, plan.bytes.max);
  const measures = new Measures();
  const host = { plan, payloads, measures, violations: new Violations(), onSettled: () => {} };
  const owner = { index: 0, id: 'warm', link: 0, isFaulty: false };
  const ledger = new Ledger(owner, host);
  const template = speech.template(KIND.request, plan.topic, plan.bytes);
  const cutter = speech.cutter();
  for (let number = 1; number <= ROUNDS; number += 1) {
    const now = nowMs();
    const { kind, bytes } = template;
    const id = ledger.add({ kind, number, bytes, plannedMs: now, sentMs: now });
    const length = payloads.lengthOf(0, number, bytes);
    const frame = template.make(id, number, length);
    const at = template.payloadAt(length);
    payloads.fill(frame, at, length, { device: 0, number, kind });
    const payload = frame.subarray(at, at + length);
    // The general encoder is slow: one reply for each ten requests is enough for the reading side.
    if (number % 10 !== 0) {
      ledger.onReply(id, 0, payload);
      continue;
    }
    cutter.push(replyForWarmUp(plan, id, payload));
    const heard = speech.read(cutter.next() ?? payload, ledger.lastId);
    if (heard.is === 'reply') ledger.onReply(heard.id ?? id, heard.status, heard.payload);
  }
  measures.take();
}
