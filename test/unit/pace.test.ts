/** Pace: how much may be under way at a broker that is quick, busy, far away, or changes. */
import t from 'tap';
import { Pace } from '../../src/broker/pace.ts';

/** A broker that confirms `perMs` messages a millisecond, after `awayMs` at least. */
function run(pace: Pace, broker: { perMs: number; awayMs: number }, rounds: number): number {
  let now = 0;
  let tag = 0;
  for (let round = 0; round < rounds; round += 1) {
    tag += 1;
    pace.sent(tag, now);
    now += broker.awayMs + pace.limit / broker.perMs;
    pace.answered(tag, now, true);
  }
  return pace.limit;
}

t.test('pace: it begins small, and grows while confirms take no longer for it', async (t) => {
  const pace = new Pace(4_096);
  t.equal(pace.limit, 128);
  t.equal(run(pace, { perMs: 1_000_000, awayMs: 2 }, 100), 4_096);
});

t.test('pace: a broker that is far away gets as much as its way takes', async (t) => {
  t.ok(run(new Pace(4_096), { perMs: 50, awayMs: 100 }, 200) > 1_000);
});

t.test('pace: a busy broker gets little, so that the next message does not wait', async (t) => {
  const perMs = 4;
  const limit = run(new Pace(4_096), { perMs, awayMs: 1 }, 200);
  t.ok(limit / perMs < 100, `what is under way takes ${limit / perMs} ms`);
});

t.test('pace: who sends less than it may is given no more', async (t) => {
  const pace = new Pace(4_096);
  for (let tag = 1; tag < 100; tag += 1) {
    pace.sent(tag, tag);
    pace.answered(tag, tag + 1, false);
  }
  t.equal(pace.limit, 128);
});

t.test('pace: a broker that gets slower for good is not taken for a busy one', async (t) => {
  const pace = new Pace(4_096);
  run(pace, { perMs: 1_000, awayMs: 1 }, 50);
  const before = pace.limit;
  t.ok(before > 128);
  // Each takes 100 ms whatever is under way: after a while that is the shortest.
  let now = 1_000;
  for (let tag = 1_000; tag < 2_000; tag += 1) {
    pace.sent(tag, now);
    now += 100;
    pace.answered(tag, now, true);
  }
  t.equal(pace.limit, 4_096);
});

t.test('pace: what was timed on a channel that is lost is not answered by the next', async (t) => {
  const pace = new Pace(4_096);
  pace.sent(1_000, 0);
  pace.begin();
  pace.sent(1, 50_000);
  pace.answered(1, 50_001, true);
  t.equal(pace.limit, 160);
});

t.test('pace: never above its window, however small that is', async (t) => {
  const pace = new Pace(3);
  t.equal(pace.limit, 3);
  t.equal(run(pace, { perMs: 1, awayMs: 1 }, 50), 3);
});

t.test(
  'pace: a broker that was slow once is not slow for ever, if nothing is sent since',
  async (t) => {
    const pace = new Pace(4_096);
    pace.sent(1, 0);
    pace.answered(1, 2, false);
    pace.sent(2, 1_000);
    t.notOk(pace.isSlow(1_010));
    t.ok(pace.isSlow(1_020), 'as long as it owes the confirm');
    pace.answered(2, 1_050, false);
    t.ok(pace.isSlow(1_060));

    t.notOk(pace.isSlow(2_000));
  },
);
