/**
 * Plots: the last five minutes of some figures, drawn by uPlot.
 * From: page.js, each answer of the stream.  To: the document.
 * Bound: POINTS points of each line, at most one a second; drawn only while the page is seen.
 */
import { byId, make, setText } from './dom.js';
import { clockTimeOf, countOf, msOf, rateOf } from './words.js';

const POINTS = 300;
const SPAN_S = 300;
const HEIGHT = 150;
const MS_PER_SECOND = 1_000;
const NARROW = 6;

const PLOTS = [
  { title: 'Links', say: countOf, lines: [['links', ({ status }) => status.links]] },
  {
    title: 'Messages a second',
    say: rateOf,
    lines: [
      ['from devices', ({ rates }) => rates.messagesIn],
      ['to devices', ({ rates }) => rates.messagesOut],
    ],
  },
  {
    title: 'Links a second',
    say: rateOf,
    lines: [
      ['new', ({ rates }) => rates.accepts],
      ['ended', ({ rates }) => rates.ends],
    ],
  },
  {
    title: 'Round trip of requests',
    say: msOf,
    lines: [
      ['half within', ({ latency }) => latency.request?.p50 ?? null],
      ['99 of 100 within', ({ latency }) => latency.request?.p99 ?? null],
    ],
  },
];

const scheme = matchMedia('(prefers-color-scheme: dark)');
const times = [];
const plots = [];

export function showPlots(answer) {
  if (plots.length === 0) makePlots();
  const isFirst = answer.intervalMs === 0;
  times.push(answer.at / MS_PER_SECOND);
  const isFull = times.length > POINTS;
  if (isFull) times.shift();
  for (const { spec, series, words } of plots) {
    spec.lines.forEach(([name, read], at) => {
      const isRate = spec.say === rateOf;
      const value = isFirst && isRate ? null : read(answer);
      series[at].push(value);
      if (isFull) series[at].shift();
      setText(words[at], `${name} ${value === null ? '–' : spec.say(value)}`);
    });
  }
  for (const { canvas, series } of plots) {
    // What is not measured here is not shown as if it were nothing.
    canvas.parentElement.hidden = series.flat().every((value) => value === null);
  }
  if (!document.hidden) draw();
}

function draw() {
  const last = times.at(-1);
  for (const { chart, series } of plots) {
    chart.setData([times, ...series], false);
    chart.batch(() => {
      chart.setScale('x', { min: last - SPAN_S, max: last });
      chart.setScale('y', { min: 0, max: topOf(series) });
    });
  }
}

/** Even above the highest, so that a plot does not shiver. */
function topOf(series) {
  const most = Math.max(...series.flat().filter((value) => value !== null), 1);
  const step = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((factor) => factor * step).find((top) => top >= most * 1.05) ?? most;
}

function makePlots() {
  for (const spec of PLOTS) {
    const words = spec.lines.map(() => make('span'));
    const keys = words.map((word, at) =>
      make(
        'span',
        { class: 'key' },
        make('i', { class: `line-${at}`, 'aria-hidden': 'true' }),
        word,
      ),
    );
    const canvas = make('div', { class: 'canvas', 'aria-hidden': 'true' });
    const caption = make('figcaption', {}, make('b', {}, spec.title), ...keys);
    byId('plots').append(make('figure', { class: 'card' }, caption, canvas));
    const series = spec.lines.map(() => []);
    const plot = { spec, words, series, canvas, chart: undefined };
    plot.chart = makeChart(plot);
    plots.push(plot);
    new ResizeObserver(() => {
      const width = canvas.clientWidth;
      if (width > 0 && width !== plot.chart.width) plot.chart.setSize({ width, height: HEIGHT });
    }).observe(canvas);
  }
  scheme.addEventListener('change', remake);
}

/** Colours are given to a canvas once. */
function remake() {
  for (const plot of plots) {
    plot.chart.destroy();
    plot.chart = makeChart(plot);
  }
  draw();
}

function makeChart({ spec, series, canvas }) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour('--quiet'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
  };
  const options = {
    ...{ width: canvas.clientWidth || 300, height: HEIGHT, legend: { show: false } },
    ...{ cursor: { show: false }, padding: [8, 8, 0, 0] },
    scales: {
      x: { time: true, auto: false },
      y: { auto: false, range: (_, min, max) => [min, max] },
    },
    axes: [
      {
        ...axis,
        space: 50,
        size: 24,
        incrs: [60, 120, 300],
        values: (_, splits) => splits.map(clockOf),
      },
      { ...axis, size: 56, space: 28, values: (_, splits) => splits.map(shortOf) },
    ],
    series: [
      {},
      ...spec.lines.map((_, at) => ({
        ...{ stroke: colour(`--line-${at}`), width: 2, points: { show: false } },
        ...(at === 0 ? {} : { dash: [6, 4] }),
      })),
    ],
  };
  return new globalThis.uPlot(options, [times, ...series], canvas);
}

function clockOf(seconds) {
  return clockTimeOf(seconds * MS_PER_SECOND).slice(0, 5);
}

function shortOf(value) {
  return value >= 10 ** NARROW ? `${value / 10 ** NARROW} M` : countOrPart(value);
}

function countOrPart(value) {
  return Number.isInteger(value) ? countOf(value) : String(Number(value.toFixed(2)));
}
