/** Histograms: each observation is counted once, in its place; and how long commands take. */
import fc from 'fast-check';
import t from 'tap';
import {
  BOUNDS,
  cumulative,
  makeHistogram,
  observeSince,
  observeUs,
  quantileMs,
  ticks,
} from '../../src/base/histogram.ts';
import { makeCommandCounters } from '../../src/base/metrics.ts';
import { CommandTimes } from '../../src/registrar/command/commandTimes.ts';
import type { Outcome } from '../../src/registrar/store/commandRows.ts';

t.test('histogram: counts up to each bound, of all, and the sum', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -1, max: 400_000_000 })), (times) => {
      const histogram = makeHistogram();
      for (const us of times) observeUs(histogram, us);
      const { upTo, count, sum } = cumulative(histogram);
      const seconds = times.map((us) => Math.max(0, us) / 1e6);
      const isRight = BOUNDS.every((bound, at) => {
        return upTo[at] === seconds.filter((one) => one <= bound).length;
      });
      const total = seconds.reduce((all, one) => all + one, 0);
      return isRight && count === times.length && Math.abs(sum - total) < 1e-6 * (1 + total);
    }),
  );
  t.pass('for any times');
});

t.test('histogram: ticks may begin anew between the two', async (t) => {
  const histogram = makeHistogram();
  const wrap = 2 ** 31 / 10;
  observeSince(histogram, ticks(wrap - 5), ticks(wrap + 7));
  t.match(cumulative(histogram), { count: 1, sum: 0.012 });
});

t.test(
  'histogram: a quantile is between the bounds around it, and never beyond the last',
  async (t) => {
    const times = makeHistogram();
    observeUs(times, 400_000_000);
    t.equal(quantileMs(times, 0.5), 300_000);
    for (let at = 0; at < 9; at += 1) observeUs(times, 40_000);
    t.equal(quantileMs(times, 0.9), 50);
    t.equal(quantileMs(times, 0.99), 300_000);
  },
);

t.test('commands: observed when a device answered, or should have; never twice', async (t) => {
  const counters = makeCommandCounters();
  const times = new CommandTimes(counters);
  const end = (key: string, more: Partial<Outcome>) =>
    times.ended({ key, reason: '', isKept: false, ...more } as Outcome);
  const counts = () => [
    cumulative(counters.transientSeconds).count,
    cumulative(counters.keptSeconds).count,
  ];
  for (const key of ['a', 'b', 'c', 'd', 'e']) times.began(key);
  end('a', { type: 'delivered' });
  t.same(counts(), [0, 0]);
  end('a', { type: 'result' });
  end('a', { type: 'result' });
  t.same(counts(), [1, 0]);
  end('b', { type: 'expired', reason: 'no-answer', isKept: true });
  t.same(counts(), [1, 1]);
  end('c', { type: 'offline' });
  end('d', { type: 'refused', reason: 'busy' });
  end('e', { type: 'expired', reason: 'not-sent' });
  end('f', { type: 'result' });
  t.same(counts(), [1, 1], 'not what no device had, nor what an earlier process began');
});

t.test('commands: of too many that wait, the oldest are not observed', async (t) => {
  const counters = makeCommandCounters();
  const times = new CommandTimes(counters);
  for (let at = 0; at < 32_769; at += 1) times.began(String(at));
  for (const key of ['0', '1']) times.ended({ key, type: 'result', reason: '' } as Outcome);
  t.equal(cumulative(counters.transientSeconds).count, 1);
});
