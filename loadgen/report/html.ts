/**
 * Html: the report as one page that needs nothing else: plots, the table, what was wrong.
 * From: report.ts.  To: --html FILE; opens anywhere, prints, can be mailed.
 * Bound: no script, no font, no request to anybody; size grows with the seconds of the run.
 */
import type { TimeName } from '../measure/measures.ts';
import type { Percentiles, Point } from '../measure/totals.ts';
import { targetOf } from '../plan/plan.ts';
import { escapeHtml, type Line, plot } from './plot.ts';
import type { Report } from './report.ts';
import { BOTTLENECK, grouped, writeMs, writeTable } from './table.ts';

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 2rem auto;
  max-width: 1300px; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; }
.verdict { display: inline-block; padding: .1rem .6rem; border-radius: .3rem; color: #fff; }
.passed { background: #00694d; } .failed { background: #b03a00; } .doubtful { background: #7a5c00; }
.facts { display: flex; flex-wrap: wrap; gap: .4rem 2.2rem; margin: 1rem 0; padding: 0; }
.facts div { min-width: 6rem; } .facts dt { color: #555; font-size: .8rem; }
.facts dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.plots { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); }
figure { margin: 0; min-width: 0; } figcaption { display: flex; flex-wrap: wrap; gap: 0 1rem; font-size: .85rem; }
figcaption b { width: 100%; }
svg { width: 100%; height: auto; display: block; } svg text { font-size: 11px; fill: #333; }
svg.key { display: inline-block; width: 30px; height: 6px; margin-right: .35rem; vertical-align: middle; }
svg .axis { stroke: #666; fill: none; }
svg .grid { stroke: #e4e4e4; fill: none; } svg .line { fill: none; stroke-width: 1.6; }
pre { background: #f6f6f4; padding: 1rem; overflow-x: auto; font-size: 12.5px; line-height: 1.4; }
h1, li { overflow-wrap: anywhere; } li { margin: .2rem 0; }
@media (max-width: 560px) { body { margin: 1rem auto; } svg text { font-size: 17px; } }`;

function timeLines(points: readonly Point[], name: TimeName, prefix: string): Line[] {
  const of = (column: keyof Percentiles) =>
    points.flatMap(({ t, times }) => {
      const value = times[name]?.[column];
      return value === undefined ? [] : [[t, value] as const];
    });
  return [
    { name: `${prefix}p50`, points: of('p50') },
    { name: `${prefix}p99`, points: of('p99') },
    { name: `${prefix}p99.9`, points: of('p999') },
    { name: `${prefix}max`, points: of('max') },
  ];
}

function countLine(points: readonly Point[], name: string, of: (point: Point) => number): Line {
  return { name, points: points.map((point) => [point.t, of(point)] as const) };
}

/** From when to when, in seconds, something went on at a rate. */
type Span = readonly [number, number];

/** A second in which it went on for less than this part of it says nothing of its rate. */
const PART_MIN = 0.2;

/**
 * The same per second, of what went on from `span[0]` to `span[1]`: its first and last seconds are
 * parts of one, and would look like a collapse. What came outside is shown as it is; nothing there
 * is shown as nothing only where `isZeroShown`.
 */
function rateLine(
  points: readonly Point[],
  name: string,
  of: (point: Point) => number,
  span: Span,
  isZeroShown = false,
): Line {
  const partOf = ({ t }: Point) => Math.min(t, span[1]) - Math.max(t - 1, span[0]);
  // All of it may have been one short moment.
  const isRateKnown = points.some((point) => partOf(point) >= PART_MIN);
  const rates = points.flatMap((point): [number, number][] => {
    const count = of(point);
    const part = partOf(point);
    if (part >= PART_MIN) return [[point.t, count / Math.min(1, part)]];
    if (part > 0 && isRateKnown) return [];
    return isZeroShown || count > 0 ? [[point.t, count]] : [];
  });
  return { name, points: rates };
}

/** Percentiles as "nines": 90 % at 1, 99 % at 2, so that the tail has room. */
function curveLine(name: string, curve: readonly (readonly [number, number])[]): Line {
  const points = curve
    .filter(([percentile]) => percentile < 100)
    .map(([percentile, ms]) => [-Math.log10(1 - percentile / 100), ms] as const);
  return { name, points };
}

const NINES = [
  [0, '0'],
  [-Math.log10(0.5), '50 %'],
  [1, '90 %'],
  [2, '99 %'],
  [3, '99.9 %'],
  [4, '99.99 %'],
  [5, '99.999 %'],
] as const;

function plots({ points, curves, counts, ended }: Report): string[] {
  const x = { label: 'seconds since the first planned connect' };
  const ms = { label: 'ms', isLog: true };
  const out: string[] = [];
  if (counts.requests > 0) {
    const lines = timeLines(points, 'request', '');
    out.push(plot({ title: 'Round trip over time, from the planned send', x, y: ms, lines }));
  }
  if (counts.events > 0) {
    const lines = timeLines(points, 'event', '');
    out.push(plot({ title: 'Event to ACK over time, from the planned send', x, y: ms, lines }));
  }
  if (counts.requests + counts.events > 0) {
    const lines = [
      curveLine('round trip', curves.request),
      curveLine('uncorrected (from the real send)', curves.requestRaw),
      curveLine('event to ACK', curves.event),
    ];
    const nines = { label: 'share of messages that were at least as fast', ticks: NINES };
    out.push(plot({ title: 'Percentile curve', x: nines, y: ms, lines }));
    const load: Span = [ended.loadFromS, ended.loadToS];
    const rates = [
      rateLine(points, 'requests', (point) => point.counts.requests, load),
      rateLine(points, 'replies', (point) => point.counts.replies, load),
      rateLine(points, 'events', (point) => point.counts.events, load),
      rateLine(points, 'ACKs', (point) => point.counts.acks, load),
    ].filter((line) => line.points.some(([, count]) => count > 0));
    out.push(plot({ title: 'Messages', x, y: { label: 'per second' }, lines: rates }));
  }
  const connects: Span = [0, ended.connectedS];
  out.push(
    linkPlot(points, x),
    connectPlot(points, x, connects),
    errorPlot(points, x),
    toolPlot(points, x),
  );
  return out;
}

function linkPlot(points: readonly Point[], x: { label: string }): string {
  const lines = [
    countLine(points, 'open', ({ open }) => open),
    countLine(points, 'connecting', ({ connecting }) => connecting),
  ];
  return plot({ title: 'Links', x, y: { label: 'links' }, lines });
}

function connectPlot(points: readonly Point[], x: { label: string }, span: Span): string {
  const lines = [
    rateLine(points, 'connects begun', ({ counts }) => counts.attempts, span, true),
    rateLine(points, 'WELCOMEs', ({ counts }) => counts.welcomes, span, true),
    countLine(points, 'links ended', ({ counts }) => counts.ends),
  ];
  return plot({ title: 'Connect rate', x, y: { label: 'per second' }, lines });
}

function errorPlot(points: readonly Point[], x: { label: string }): string {
  const lines = [
    countLine(points, 'wrong answers', ({ violations }) => violations),
    countLine(points, 'skipped', ({ counts }) => counts.skipped),
    countLine(points, 'failed connects', ({ counts }) => counts.connectFailures),
    countLine(points, 'faults on purpose', ({ counts }) => counts.faults),
  ];
  return plot({ title: 'Errors', x, y: { label: 'per second' }, lines });
}

function toolPlot(points: readonly Point[], x: { label: string }): string {
  const lines = [
    countLine(points, 'busiest worker, % of a core', ({ cpuShare }) => 100 * cpuShare),
    countLine(points, 'late sends per second', ({ counts }) => counts.lateSends),
  ];
  return plot({ title: 'The tool itself', x, y: { label: '' }, lines });
}

function facts({ links, rates, times, counts, plan }: Report): string {
  const rows: [string, string][] = [
    ['devices', grouped(plan.devices)],
    ['links at most', grouped(links.openMax)],
    ['connects/s', grouped(links.connectRate)],
  ];
  if (counts.requests > 0) rows.push(['replies/s', grouped(rates.replies)]);
  if (counts.events > 0) rows.push(['ACKs/s', grouped(rates.acks)]);
  const main = times.request.count > 0 ? times.request : times.event;
  if (main.count > 0) {
    for (const [name, value] of [
      ['p50', main.p50],
      ['p99', main.p99],
      ['p99.9', main.p999],
      ['max', main.max],
    ] as const) {
      rows.push([`${name} ms`, writeMs(value)]);
    }
  }
  const items = rows.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`);
  return `<dl class="facts">${items.join('')}</dl>`;
}

/** The whole page. */
export function writeHtml(report: Report): string {
  const { ok, exitCode, failures, selfCheck, startedAt, plan } = report;
  const title = `${targetOf(plan)}, ${startedAt.slice(0, 19).replace('T', ' ')} UTC`;
  const passed = selfCheck.wasBottleneck
    ? `<span class="verdict doubtful">passed, but ${BOTTLENECK}</span>`
    : '<span class="verdict passed">passed</span>';
  const verdict = ok ? passed : `<span class="verdict failed">failed, exit ${exitCode}</span>`;
  const sentences = [...failures, ...selfCheck.sentences].map(
    (text) => `<li>${escapeHtml(text)}</li>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>owsla-loadgen: ${escapeHtml(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>${STYLE}</style></head>
<body><h1>owsla-loadgen: ${escapeHtml(title)} ${verdict}</h1>
${facts(report)}
<ul>${sentences.join('')}</ul>
<div class="plots">${plots(report).join('\n')}</div>
<h2>Report</h2><pre>${escapeHtml(writeTable(report).trim())}</pre>
<h2>Plan</h2><pre>${escapeHtml(JSON.stringify(plan, undefined, 1))}</pre>
</body></html>
`;
}
