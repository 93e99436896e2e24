/** Totals and report: intervals of several workers become points, percentiles, a verdict. */
import { deserialize, serialize } from 'node:v8';
import t from 'tap';
import type { Gauges, Interval } from '../../loadgen/measure/interval.ts';
import { Measures } from '../../loadgen/measure/measures.ts';
import { Totals } from '../../loadgen/measure/totals.ts';
import { newViolationCounts } from '../../loadgen/measure/violations.ts';
import { makeOutput, makePlan } from '../../loadgen/plan/settings.ts';
import { plot } from '../../loadgen/report/plot.ts';
import { renderMetrics } from '../../loadgen/report/prometheus.ts';
import { type Ended, EXIT, makeReport, type Report } from '../../loadgen/report/report.ts';
import { writeTable } from '../../loadgen/report/table.ts';

const GAUGES: Gauges = {
  open: 10,
  connecting: 0,
  pending: 0,
  cpuMs: 100,
  wallMs: 1_000,
  deniedMs: 0,
  lagP99Ms: 1,
  lagMaxMs: 2,
  rssBytes: 1,
};

function interval(worker: number, at: number, fill: (measures: Measures) => void = () => {}) {
  const measures = new Measures();
  fill(measures);
  const violations = { counts: newViolationCounts(), examples: [] };
  const taken = measures.take();
  return { type: 'interval', worker, at, taken, violations, gauges: GAUGES } satisfies Interval;
}

t.test('totals: any word of a server is a label like another', async (t) => {
  const totals = new Totals(1);
  const words = ['__proto__', 'constructor', 'toString', 'busy'];
  for (const at of [0, 1]) {
    const seen = interval(0, at, (measures) => {
      for (const word of words) measures.label('errors', word);
    });
    // As it comes from a worker.
    totals.add(deserialize(serialize(seen)) as typeof seen);
  }

  t.same(
    Object.entries(totals.labelled.errors),
    words.map((word) => [word, 2]),
  );
  const [read] = [JSON.parse(JSON.stringify(totals.labelled.errors)) as object];
  t.same(Object.keys(read), words);
});

t.test('totals: percentiles come from added histograms, not from averages', async (t) => {
  const totals = new Totals(2);
  // One worker answers 99 times in 1 ms, the other once in 1 s: the median is 1 ms, p99.9 1 s.
  totals.add(
    interval(0, 0, (measures) => {
      for (let i = 0; i < 99; i += 1) measures.time('request', 1);
    }),
  );
  totals.add(interval(1, 0, (measures) => measures.time('request', 1_000)));

  const times = totals.points[0]?.times.request;

  t.equal(times?.count, 100);
  t.equal(times?.p50, 1);
  t.equal(times?.p99, 1);
  t.ok(Math.abs((times?.p999 ?? 0) - 1_000) < 1);
});

t.test('totals: a point closes when every worker has spoken, and sums them', async (t) => {
  const totals = new Totals(2);
  const count = (n: number) => (measures: Measures) => {
    measures.counts.requests = n;
  };

  totals.add(interval(0, 0, count(3)));
  totals.add(interval(0, 1, count(5)));
  t.equal(totals.points.length, 0, 'worker 2 is still silent');
  totals.add(interval(1, 0, count(4)));

  t.equal(totals.points.length, 1);
  t.equal(totals.points[0]?.counts.requests, 7);
  t.equal(totals.points[0]?.open, 20);
  totals.forget(1);
  t.equal(totals.points.length, 2, 'a worker that died is not waited for');
  t.equal(totals.openNow, 10, 'and its links are gone');
  t.equal(totals.counts.requests, 12);
});

const ENDED: Ended = { how: 'complete', why: 'x', loadFromS: 1, loadToS: 11, connectedS: 2 };

function report(flags: Record<string, string | string[]>, totals: Totals, ended = ENDED): Report {
  const plan = makePlan({ target: '127.0.0.1:1', ...flags }, [], 1);
  const facts = { ended, startedAt: new Date(0), warnings: [], watched: undefined };
  return makeReport(plan, makeOutput(flags), totals, facts);
}

t.test(
  'report: violations fail with 98, thresholds with 99, allowed ones not at all',
  async (t) => {
    const totals = new Totals(1);
    t.equal(report({}, totals).exitCode, EXIT.ok);
    t.equal(report({ failIf: ['requests < 1'] }, totals).exitCode, EXIT.threshold);
    totals.violations.lost = 2;

    t.equal(report({}, totals).exitCode, EXIT.integrity);
    t.match(report({}, totals).failures, ['lost: 2']);
    t.equal(report({ allow: 'lost' }, totals).exitCode, EXIT.ok);
    t.equal(report({ allow: 'lost', failIf: ['lost > 1'] }, totals).exitCode, EXIT.threshold);
    totals.violations.lost = 0;
    totals.violations.reordered = 9;
    t.equal(report({}, totals).exitCode, EXIT.ok, 'a note is no failure');
  },
);

t.test('report: each ending has its exit code; Ctrl-C of an endless run is none', async (t) => {
  const totals = new Totals(1);
  const code = (how: Ended['how'], flags = {}) => report(flags, totals, { ...ENDED, how }).exitCode;

  t.equal(code('worker-died'), EXIT.workerDied);
  t.equal(code('vanished'), EXIT.vanished);
  t.equal(code('unreachable'), EXIT.unreachable);
  t.equal(code('interrupted'), EXIT.interrupted);
  t.equal(code('interrupted', { duration: '0' }), EXIT.ok);
});

t.test('report: a tool that was late or busy says so in words', async (t) => {
  const totals = new Totals(1);
  totals.add(
    interval(0, 0, (measures) => {
      measures.counts.requests = 100;
      measures.counts.lateSends = 2;
      measures.time('sendLag', 10);
      measures.time('request', 12);
      measures.label('connectErrors', 'EADDRNOTAVAIL');
    }),
  );

  const { selfCheck } = report({}, totals);

  t.ok(selfCheck.wasBottleneck);
  t.match(selfCheck.sentences[0], /The tool, not the server, was the bottleneck: 2.0 % of the/);
  t.match(selfCheck.sentences[0], /no free local port: give more --source addresses/);
  t.match(writeTable(report({}, totals)), /tool {8}The tool, not the server/);
});

t.test('report: a run whose figures the tool made does not pass, unless it may', async (t) => {
  const totals = new Totals(1);
  const busy = interval(0, 0, (measures) => {
    measures.counts.requests = 100;
    measures.counts.replies = 100;
  });
  totals.add({ ...busy, gauges: { ...GAUGES, cpuMs: 990 } });
  const late = { failIf: ['requests > 1'] };

  const { exitCode, ok, failures } = report({}, totals);
  t.equal(exitCode, EXIT.bottleneck);
  t.notOk(ok);
  t.match(failures, [/the tool was the bottleneck/]);
  t.match(writeTable(report({}, totals)), /\nFAILED \(exit 95\): the tool was the bottleneck/);
  t.equal(report(late, totals).exitCode, EXIT.bottleneck, 'its thresholds prove nothing');
  t.equal(report({ ...late, allowBottleneck: 'true' }, totals).exitCode, EXIT.threshold);
  const allowed = report({ allowBottleneck: 'true' }, totals);
  t.equal(allowed.exitCode, EXIT.ok);
  t.match(writeTable(allowed), /\nPASSED, but the tool was the bottleneck\n$/);
  t.match(await renderMetrics(allowed.plan, totals), /^owsla_loadgen_bottleneck 1$/m);
  totals.violations.lost = 1;
  t.equal(report({}, totals).exitCode, EXIT.integrity, 'wrong answers are the server’s');
});

t.test('report: it claims no more than was sent, answered and looked into', async (t) => {
  const said = (flags: Record<string, string>, fill: (measures: Measures) => void) => {
    const totals = new Totals(1);
    totals.add(interval(0, 0, fill));
    return /^integrity +(.*)$/m.exec(writeTable(report(flags, totals)))?.[1];
  };
  const both = ({ counts }: Measures) => Object.assign(counts, { requests: 2, replies: 2 });

  t.equal(
    said({}, () => {}),
    'nothing was sent, so nothing was checked',
  );
  t.equal(
    said({}, ({ counts }) => Object.assign(counts, { requests: 2 })),
    'no answer came, so none was checked',
  );
  t.equal(said({}, both), 'nothing lost, doubled, wrong or misrouted');
  t.match(said({ expect: 'ok' }, both), /^nothing lost, doubled or wrong; .* their status/);
  t.match(said({ expect: 'any' }, both), /^nothing lost or doubled; .* was not checked$/);
});

t.test('plot: lines, ticks and title are there; markup in names is escaped', async (t) => {
  const svg = plot({
    title: 'a < b',
    x: { label: 's' },
    y: { label: 'ms', isLog: true },
    lines: [
      { name: 'p99', points: Array.from({ length: 5_000 }, (_, x) => [x, (x % 97) + 1] as const) },
      { name: 'none', points: [] },
    ],
  });

  t.match(svg, /a &#60; b/);
  t.equal(svg.match(/<polyline/g)?.length, 1, 'a line without points is left out');
  t.ok(svg.length < 40_000, 'thinned');
  t.notMatch(svg, /NaN|Infinity/);
});
