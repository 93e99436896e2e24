/** Ledger: each kind of wrong answer is found, counted once and shown. */
import t from 'tap';
import { Ledger, type LedgerHost, type Owner } from '../../loadgen/measure/ledger.ts';
import { Measures } from '../../loadgen/measure/measures.ts';
import { type Violation, Violations } from '../../loadgen/measure/violations.ts';
import { KIND, type Kind, Payloads } from '../../loadgen/plan/payload.ts';
import type { Expect, Plan } from '../../loadgen/plan/plan.ts';
import { makePlan } from '../../loadgen/plan/settings.ts';

const BYTES = { min: 32, max: 32 };

class Bench implements LedgerHost {
  readonly plan: Plan;
  readonly payloads = new Payloads(1, 1, 64);
  readonly measures = new Measures();
  readonly violations = new Violations();
  readonly owner: Owner;
  readonly ledger: Ledger;
  settled = 0;

  constructor(options: { expect?: Expect; isFaulty?: boolean } = {}) {
    const { expect = 'echo', isFaulty = false } = options;
    this.plan = makePlan({ target: '127.0.0.1:1', expect }, [], 1);
    this.owner = { index: 5, id: 'lg-5', link: 1, isFaulty };
    this.ledger = new Ledger(this.owner, this);
  }

  onSettled(): void {
    this.settled += 1;
  }

  send(number: number, kind: Kind = KIND.request, sentMs = 0): number {
    return this.ledger.add({ kind, number, bytes: BYTES, plannedMs: sentMs, sentMs });
  }

  payload(number: number, device = 5): Buffer {
    const payload = Buffer.alloc(32);
    this.payloads.fill(payload, 0, 32, { device, number, kind: KIND.request });
    return payload;
  }

  found(): Partial<Record<Violation, number>> {
    const { counts } = this.violations;
    return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
  }
}

t.test('ledger: a right echo is timed from plan and send, and nothing is found', async (t) => {
  const bench = new Bench();
  const id = bench.send(1);

  bench.ledger.onReply(id, 0, bench.payload(1));

  const taken = bench.measures.take();
  t.same(bench.found(), {});
  t.ok(taken.times.request !== undefined && taken.times.requestRaw !== undefined);
  t.same(taken.labelled.statuses, { 0: 1 });
  t.equal(bench.settled, 1);
});

t.test('ledger: a second reply is doubled, a second ACK too', async (t) => {
  const bench = new Bench();
  const request = bench.send(1);
  const event = bench.send(1, KIND.event);

  for (let times = 0; times < 2; times += 1) {
    bench.ledger.onReply(request, 0, bench.payload(1));
    bench.ledger.onAnswer(event, KIND.event);
  }

  t.same(bench.found(), { doubled: 2 });
  t.equal(bench.settled, 2);
});

t.test('ledger: a wrong status or payload is wrong, and answers all the same', async (t) => {
  const bench = new Bench();
  const [first, second, third] = [bench.send(1), bench.send(2), bench.send(3)];

  bench.ledger.onReply(first, 5, bench.payload(1));
  bench.ledger.onReply(second, 0, bench.payload(1));
  bench.ledger.onReply(third, 0, Buffer.from('hi'));

  t.same(bench.found(), { wrong: 3 });
  t.equal(bench.ledger.size, 0);
});

t.test("ledger: another device's payload is misrouted, and the request still waits", async (t) => {
  const bench = new Bench();
  const id = bench.send(1);

  bench.ledger.onReply(id, 0, bench.payload(1, 6));

  t.same(bench.found(), { misrouted: 1 });
  t.equal(bench.ledger.size, 1);
});

t.test('ledger: an answer to an id that was never sent, or of the other kind', async (t) => {
  const bench = new Bench();
  const event = bench.send(1, KIND.event);

  bench.ledger.onReply(99, 0, bench.payload(1));
  bench.ledger.onAnswer(event, KIND.request);

  t.same(bench.found(), { misrouted: 2 });
});

t.test('ledger: what is unanswered too long is lost or un-ACKed, then late', async (t) => {
  const bench = new Bench();
  const request = bench.send(1, KIND.request, 100);
  const event = bench.send(1, KIND.event, 100);
  bench.send(2, KIND.request, 300);

  bench.ledger.expire(200, 400);
  t.same(bench.found(), { lost: 1, unacked: 1 });
  t.equal(bench.ledger.size, 1, 'the younger one still waits');
  bench.ledger.onReply(request, 0, bench.payload(1));
  bench.ledger.onAnswer(event, KIND.event);

  t.same(bench.found(), { lost: 1, unacked: 1, late: 2 });
});

t.test('ledger: a link that the server ends cuts what is open; ours excuses it', async (t) => {
  const cut = new Bench();
  const ours = new Bench();
  const faulty = new Bench({ isFaulty: true });
  for (const bench of [cut, ours, faulty]) bench.send(1);

  cut.ledger.end('ECONNRESET', false);
  ours.ledger.end('ours', true);
  faulty.ledger.end('bye:bad-frame', false);

  t.same(cut.found(), { cut: 1 });
  t.match(cut.violations.take().examples[0]?.text, /request 1 \(id 1 on link 1\).*ECONNRESET/);
  for (const bench of [ours, faulty]) {
    t.same(bench.found(), {});
    t.equal(bench.measures.counts.excused, 1);
  }
});

t.test('ledger: a reply that overtakes is noted', async (t) => {
  const bench = new Bench();
  const [first, second] = [bench.send(1), bench.send(2)];

  bench.ledger.onReply(second, 0, bench.payload(2));
  bench.ledger.onReply(first, 0, bench.payload(1));

  t.same(bench.found(), { reordered: 1 });
});

t.test('ledger: --expect ok looks at the status only, any at neither', async (t) => {
  for (const [expect, wrong] of [
    ['echo', { wrong: 2 }],
    ['ok', { wrong: 1 }],
    ['any', {}],
  ] as const) {
    const bench = new Bench({ expect });
    bench.ledger.onReply(bench.send(1), 0, Buffer.from('other'));
    bench.ledger.onReply(bench.send(2), 3, bench.payload(2));

    t.same(bench.found(), wrong, expect);
  }
});

t.test('ledger: examples are few, counts are all', async (t) => {
  const bench = new Bench();
  for (let at = 0; at < 100; at += 1) bench.ledger.onReply(5_000, 0, bench.payload(1));

  const { counts, examples } = bench.violations.take();

  t.equal(counts.misrouted, 100);
  t.equal(examples.length, 5);
});
