/** Gauges against their limits, read off pages of /metrics. */
import t, { type Test } from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import { Watch } from './watch.ts';

const MiB = 1_048_576;

/** A page of one acceptor that holds ten links. */
function page(gauges: Readonly<Record<string, number>>): string {
  const all = { links: 10, links_max: 1_000, ...gauges };
  return Object.entries(all)
    .map(([name, value]) => `owsla_acceptor_${name}{acceptor="1"} ${value}\n`)
    .join('');
}

function watching(t: Test): Watch {
  const watch = new Watch(() => Promise.resolve(''), makeLimits({ publishWindowMax: 100 }));
  t.teardown(() => watch.stop());
  return watch;
}

t.test('watch: a gauge at its limit is within it, one above is a breach, told once', async (t) => {
  const watch = watching(t);

  watch.judge(page({ confirms_waiting: 200 }));
  t.same(watch.breaches, []);
  watch.judge(page({ confirms_waiting: 201 }));
  watch.judge(page({ confirms_waiting: 202 }));

  const limit = 'publishWindowMax of EVENTs and of REQUESTs';
  t.same(watch.breaches, [`confirms_waiting was 201, above ${limit} (200)`]);
  t.match(watch.highest, [{ gauge: 'confirms_waiting', value: 202, most: 200 }]);
});

t.test('watch: what is bounded per link is judged by the links there are', async (t) => {
  const watch = watching(t);

  watch.judge(page({ requests_open: 2_560, paused_links: 10 }));
  t.same(watch.breaches, []);
  watch.judge(page({ requests_open: 2_561, paused_links: 11 }));
  t.equal(watch.breaches.length, 2);
});

t.test('watch: memory is that of all acceptors together, now and at most', async (t) => {
  const watch = watching(t);
  const two = `${page({ rss_bytes: 5 * MiB })}owsla_acceptor_rss_bytes{acceptor="2"} ${MiB}\n`;

  watch.judge(two);
  watch.judge(page({ rss_bytes: 2 * MiB }));

  t.equal(watch.bytes, 2 * MiB);
  t.equal(watch.bytesMax, 6 * MiB);
});
