/**
 * Svg: bars and lines as plain SVG text, for pages that show pictures and run nothing.
 * From: report.ts.  To: files of some kB. Bound: what fits one column of a page, 720 wide.
 */
import type { Spread } from '../lib/stats.ts';

export interface Bar {
  readonly label: string;
  /** One bar each, as many as there are `names`; a whisker from min to max. */
  readonly values: readonly Spread[];
}

export interface Series {
  readonly label: string;
  readonly values: readonly Spread[];
}

const WIDTH = 720;
const LEFT = 150;
const RIGHT = 90;
const TOP = 64;
const ROW = 15;
const GAP = 10;
const COLORS = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#999999'];
const INK = '#24292f';
const GRID = '#d8dee4';

const quoted = (text: string) =>
  text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`).replaceAll('`', '');

/** Three digits that count, thousands apart. */
export function figure(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}

function text(x: number, y: number, content: string, more = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${quoted(content)}</text>`;
}

function page(title: string, about: string, height: number, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}"`,
    ` viewBox="0 0 ${WIDTH} ${height}" role="img" fill="${INK}"`,
    ' font-family="system-ui, sans-serif" font-size="12">',
    `<title>${quoted(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(16, 24, title, 'font-size="15" font-weight="600"'),
    text(16, 42, about, 'fill="#57606a"'),
    ...parts,
    '</svg>\n',
  ].join('\n');
}

/** 1, 2, 5, 10, ... within the range, or tens alone when that is wide. */
function ticksOf(low: number, high: number, isLog: boolean): number[] {
  if (!isLog) {
    const raw = high / 5;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((times) => times * power).find((step) => step >= raw) ?? raw;
    return Array.from({ length: Math.floor(high / step) + 1 }, (_, i) => i * step);
  }
  const from = Math.floor(Math.log10(low));
  const to = Math.ceil(Math.log10(high));
  return Array.from({ length: to - from + 1 }, (_, i) => 10 ** (from + i));
}

/** Lying bars, a group for each label. `isLog`: on a logarithmic scale, which `about` must say. */
export function bars(options: {
  readonly title: string;
  readonly about: string;
  readonly names: readonly string[];
  readonly rows: readonly Bar[];
  readonly isLog: boolean;
}): string {
  const { title, about, names, isLog } = options;
  const isShown = ({ values }: Bar) => values.every(({ median }) => median > 0);
  const rows = options.rows.filter(isShown);
  const all = rows.flatMap(({ values }) => values);
  const high = Math.max(...all.map(({ max }) => max));
  const low = Math.min(...all.map(({ median }) => median));
  const ticks = ticksOf(low, high, isLog);
  const [first = 0] = ticks;
  const end = isLog ? (ticks.at(-1) ?? high) : high;
  const x = (value: number) => {
    const share = isLog
      ? Math.log(Math.max(value, first) / first) / Math.log(end / first)
      : value / end;
    return LEFT + share * (WIDTH - LEFT - RIGHT);
  };
  const groupHeight = ROW * names.length + GAP;
  const bottom = TOP + groupHeight * rows.length;
  const parts = ticks.flatMap((tick) => [
    `<line x1="${x(tick)}" x2="${x(tick)}" y1="${TOP}" y2="${bottom}" stroke="${GRID}"/>`,
    text(x(tick), bottom + 16, figure(tick), 'text-anchor="middle" fill="#57606a"'),
  ]);
  rows.forEach(({ label, values }, row) => {
    const top = TOP + GAP / 2 + row * groupHeight;
    const middle = top + (ROW * names.length) / 2 + 4;
    parts.push(text(LEFT - 8, middle, label, 'text-anchor="end"'));
    values.forEach(({ min, median, max }, at) => {
      const y = top + at * ROW;
      const width = Math.max(1, x(median) - LEFT).toFixed(1);
      const color =
        names.length > 1 ? COLORS[at] : label.startsWith('Owsla') ? COLORS[0] : '#8c959f';
      const whisker = `x1="${x(min).toFixed(1)}" x2="${x(max).toFixed(1)}"`;
      parts.push(
        `<rect x="${LEFT}" y="${y}" width="${width}" height="${ROW - 3}" fill="${color}"/>`,
        `<line ${whisker} y1="${y + 6}" y2="${y + 6}" stroke="${INK}"/>`,
        text(Math.max(x(max), x(median)) + 6, y + 10, figure(median), 'font-size="11"'),
      );
    });
  });
  if (names.length > 1) parts.push(...legend(names, bottom + 28));
  return page(title, about, bottom + (names.length > 1 ? 48 : 28), parts);
}

function legend(names: readonly string[], y: number): string[] {
  return names.flatMap((name, at) => {
    const x = 16 + at * ((WIDTH - 32) / names.length);
    const color = COLORS[at % COLORS.length];
    return [
      `<rect x="${x.toFixed(1)}" y="${y}" width="12" height="12" fill="${color}"/>`,
      text(x + 18, y + 10, name),
    ];
  });
}

/** A line for each series over the same points, from zero. */
export function lines(options: {
  readonly title: string;
  readonly about: string;
  readonly points: readonly string[];
  readonly series: readonly Series[];
}): string {
  const { title, about, points, series } = options;
  const height = 260;
  const bottom = TOP + height;
  const high = Math.max(...series.flatMap(({ values }) => values.map(({ max }) => max)));
  const ticks = ticksOf(0, high, false);
  const end = Math.max(high, ticks.at(-1) ?? high);
  const left = 64;
  const x = (at: number) =>
    left + 40 + (at * (WIDTH - left - 120)) / Math.max(1, points.length - 1);
  const y = (value: number) => bottom - (value / end) * height;
  const parts = ticks.flatMap((tick) => [
    `<line x1="${left}" x2="${WIDTH - 40}" y1="${y(tick)}" y2="${y(tick)}" stroke="${GRID}"/>`,
    text(left - 8, y(tick) + 4, figure(tick), 'text-anchor="end" fill="#57606a"'),
  ]);
  points.forEach((point, at) => {
    parts.push(text(x(at), bottom + 18, point, 'text-anchor="middle" fill="#57606a"'));
  });
  series.forEach(({ values }, at) => {
    const color = COLORS[at % COLORS.length];
    const path = values.map(({ median }, i) => `${x(i).toFixed(1)},${y(median).toFixed(1)}`);
    parts.push(
      `<polyline points="${path.join(' ')}" fill="none" stroke="${color}" stroke-width="2"/>`,
    );
    values.forEach(({ min, median, max }, i) => {
      const ends = `y1="${y(min).toFixed(1)}" y2="${y(max).toFixed(1)}"`;
      parts.push(
        `<line x1="${x(i).toFixed(1)}" x2="${x(i).toFixed(1)}" ${ends} stroke="${color}"/>`,
        `<circle cx="${x(i).toFixed(1)}" cy="${y(median).toFixed(1)}" r="3.5" fill="${color}"/>`,
      );
    });
  });
  const names = series.map(({ label }) => label);
  return page(title, about, bottom + 56, [...parts, ...legend(names, bottom + 32)]);
}
