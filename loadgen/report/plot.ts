/**
 * Plot: lines over an axis as a figure with one piece of SVG, with nothing to load and no script.
 * From: html.ts: series of points.  To: text of a <figure> element; its title and legend are text
 * of the page, which wraps where the page is narrow.
 * Bound: at most POINTS_MAX points per line; longer ones keep each stretch's highest point.
 */

export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
}

export interface Axis {
  readonly label: string;
  readonly isLog?: boolean;
  /** Where ticks go and what they say; else they are worked out. */
  readonly ticks?: readonly (readonly [number, string])[];
}

export interface PlotOptions {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly lines: readonly Line[];
}

const WIDTH = 620;
const HEIGHT = 232;
const LEFT = 76;
const RIGHT = 12;
const TOP = 12;
const BOTTOM = 40;
const POINTS_MAX = 1_200;
/** Told apart by people with the usual colour blindnesses, too (Okabe and Ito). */
const COLOURS = ['#0072b2', '#e69f00', '#009e73', '#d55e00', '#cc79a7', '#56b4e9'];
/**
 * What lies over other lines is dashed, so that they show through: the second in halves, the third
 * within the second's dashes, the fourth within its gaps.
 */
const DASHES = ['', '10 10', '4 16', '4 16'];
const DASH_OFFSETS = [0, 0, -3, -13];
/** A line lies over another when it goes the same way for this part of its points. */
const SAME_SHARE = 0.1;

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** 1, 2 or 5 times a power of ten, so that about `count` steps fill `span`. */
function niceStep(span: number, count: number): number {
  const raw = span / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const factor = [1, 2, 5, 10].find((f) => f * power >= raw) ?? 10;
  return factor * power;
}

function writeTick(value: number): string {
  if (Math.abs(value) >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (Math.abs(value) >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
}

interface Scale {
  readonly at: (value: number) => number;
  readonly ticks: readonly (readonly [number, string])[];
}

function logTicks(low: number, high: number): [number, string][] {
  const ticks: [number, string][] = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high * 1.0001; power += 1) {
    if (10 ** power >= low * 0.9999) ticks.push([10 ** power, writeTick(10 ** power)]);
  }
  return ticks;
}

function linearTicks(low: number, high: number): [number, string][] {
  const step = niceStep(high - low, 5);
  const ticks: [number, string][] = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) {
    ticks.push([at, writeTick(at)]);
  }
  return ticks;
}

function scaleOf(values: readonly number[], axis: Axis, from: number, to: number): Scale {
  const finite = values.filter((value) => Number.isFinite(value) && (!axis.isLog || value > 0));
  let high = finite.reduce((a, b) => Math.max(a, b), axis.isLog ? 0.01 : 0);
  let low = finite.reduce((a, b) => Math.min(a, b), high);
  if (axis.isLog) {
    low = 10 ** Math.floor(Math.log10(low) + 1e-9);
    high = Math.max(10 ** Math.ceil(Math.log10(high) - 1e-9), low * 10);
  } else {
    low = Math.min(0, low);
    high = high > low ? high : low + 1;
    if (axis.ticks === undefined) high += 0.04 * (high - low);
  }
  const map = axis.isLog ? Math.log10 : (value: number) => value;
  const span = map(high) - map(low);
  return {
    at: (value) => from + ((to - from) * (map(Math.max(value, low)) - map(low))) / span,
    ticks: axis.ticks ?? (axis.isLog ? logTicks(low, high) : linearTicks(low, high)),
  };
}

function thinned(points: Line['points']): Line['points'] {
  if (points.length <= POINTS_MAX) return points;
  const size = Math.ceil(points.length / POINTS_MAX);
  const kept: (readonly [number, number])[] = [];
  for (let at = 0; at < points.length; at += size) {
    const part = points.slice(at, at + size);
    kept.push(part.reduce((best, point) => (point[1] > best[1] ? point : best)));
  }
  return kept;
}

function axes({ x, y }: PlotOptions, sx: Scale, sy: Scale): string[] {
  const bottom = HEIGHT - BOTTOM;
  const right = WIDTH - RIGHT;
  const out = [`<path class="axis" d="M${LEFT} ${TOP}V${bottom}H${right}"/>`];
  for (const [value, text] of sx.ticks) {
    const at = sx.at(value).toFixed(1);
    if (Number(at) > right + 1) continue;
    out.push(`<path class="grid" d="M${at} ${TOP}V${bottom}"/>`);
    out.push(`<text x="${at}" y="${bottom + 15}" text-anchor="middle">${escapeHtml(text)}</text>`);
  }
  for (const [value, text] of sy.ticks) {
    const at = sy.at(value).toFixed(1);
    out.push(`<path class="grid" d="M${LEFT} ${at}H${right}"/>`);
    out.push(
      `<text x="${LEFT - 6}" y="${Number(at) + 4}" text-anchor="end">${escapeHtml(text)}</text>`,
    );
  }
  const middle = (LEFT + right) / 2;
  out.push(
    `<text x="${middle}" y="${HEIGHT - 6}" text-anchor="middle">${escapeHtml(x.label)}</text>`,
    `<text transform="translate(14 ${(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">` +
      `${escapeHtml(y.label)}</text>`,
  );
  return out;
}

interface Drawn {
  readonly name: string;
  /** Points as SVG has them. */
  readonly at: readonly string[];
  /** How many earlier lines it lies over. */
  readonly level: number;
}

/** Points are the same where both end of a step are. */
function liesOver(line: readonly string[], other: readonly string[]): boolean {
  const steps = (at: readonly string[]) => at.map((point, index) => `${at[index - 1]} ${point}`);
  const known = new Set(steps(other));
  const same = steps(line).filter((step) => known.has(step)).length;
  return same >= Math.max(1, SAME_SHARE * line.length);
}

function draw({ lines, y }: PlotOptions, sx: Scale, sy: Scale): Drawn[] {
  const drawn: Drawn[] = [];
  for (const { name, points } of lines) {
    const shown = thinned(points).filter(([, value]) => y.isLog !== true || value > 0);
    const at = shown.map(([px, py]) => `${sx.at(px).toFixed(1)},${sy.at(py).toFixed(1)}`);
    const below = drawn.filter((other) => liesOver(at, other.at));
    drawn.push({ name, at, level: Math.max(0, ...below.map(({ level }) => level + 1)) });
  }
  return drawn;
}

function strokeOf(index: number, level: number): string {
  const at = Math.min(level, DASHES.length - 1);
  const dashes = at === 0 ? '' : ` stroke-dasharray="${DASHES[at]}"`;
  const offset = DASH_OFFSETS[at] === 0 ? '' : ` stroke-dashoffset="${DASH_OFFSETS[at]}"`;
  return `stroke="${COLOURS[index % COLOURS.length]}" class="line"${dashes}${offset}`;
}

function legend({ name, level }: Drawn, index: number): string {
  const sample = `<svg viewBox="0 0 30 6" class="key" aria-hidden="true"><path ${strokeOf(index, level)} d="M0 3h30"/></svg>`;
  return `<span>${sample}${escapeHtml(name)}</span>`;
}

/** One plot as a <figure> element. Points that a log axis cannot show are left out. */
export function plot(options: PlotOptions): string {
  const lines = options.lines.filter(({ points }) => points.length > 0);
  const title = escapeHtml(options.title);
  const all = lines.flatMap(({ points }) => points);
  const xs = all.map(([x]) => x);
  const ys = all.map(([, y]) => y);
  const sx = scaleOf(xs, options.x, LEFT, WIDTH - RIGHT);
  const sy = scaleOf(ys, options.y, HEIGHT - BOTTOM, TOP);
  const drawn = draw({ ...options, lines }, sx, sy);
  return [
    `<figure><figcaption><b>${title}</b>${drawn.map(legend).join('')}</figcaption>`,
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}">`,
    ...axes(options, sx, sy),
    ...drawn.map(
      ({ at, level }, index) => `<polyline ${strokeOf(index, level)} points="${at.join(' ')}"/>`,
    ),
    '</svg></figure>',
  ].join('\n');
}
