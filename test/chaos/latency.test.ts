/** Percentiles of what the innocents waited, with and without bad neighbours. */
import t from 'tap';
import { compare, percentile, type Stretch, type Timed } from './latency.ts';

const STRETCHES: readonly Stretch[] = [
  { side: 'quiet', from: 0, to: 100 },
  { side: 'bad', from: 100, to: 200 },
  { side: 'quiet', from: 250, to: 350 },
];

/** One at each millisecond from `from`. */
function timed(from: number, took: readonly number[]): Timed[] {
  return took.map((tookMs, index) => ({ at: from + index, tookMs }));
}
const many = (count: number, tookMs: number) => Array.from({ length: count }, () => tookMs);

t.test('latency: a percentile is one of the values; of none there is none', async (t) => {
  const sorted = Array.from({ length: 100 }, (_, index) => index + 1);

  t.equal(percentile(sorted, 99), 99);
  t.equal(percentile(sorted, 50), 50);
  t.equal(percentile([7], 99), 7);
  t.ok(Number.isNaN(percentile([], 99)));
});

t.test('latency: stretches of a side are taken together, what lies between is not', async (t) => {
  const messages = [
    ...timed(0, many(100, 10)),
    ...timed(100, many(100, 25)),
    ...timed(200, many(50, 1_000)),
    ...timed(250, many(100, 10)),
  ];
  const { quiet, bad, ratio, stretches } = compare('way', messages, STRETCHES);

  t.same(quiet, { count: 200, p50: 10, p99: 10 });
  t.same(bad, { count: 100, p50: 25, p99: 25 });
  t.equal(ratio, 2.5);
  t.same(stretches, [10, 25, 10]);
});

t.test('latency: what was never answered counts, and took for ever', async (t) => {
  const never = many(2, Number.POSITIVE_INFINITY);
  const messages = [...timed(0, many(100, 10)), ...timed(100, [...never, ...many(98, 10)])];
  const { bad, ratio } = compare('way', messages, STRETCHES);

  t.same(bad, { count: 100, p50: 10, p99: Number.POSITIVE_INFINITY });
  t.equal(ratio, Number.POSITIVE_INFINITY);
});

t.test('latency: less than a millisecond is one', async (t) => {
  const messages = [...timed(0, many(100, 0)), ...timed(100, many(100, 2))];

  t.equal(compare('way', messages, STRETCHES).ratio, 2);
});
