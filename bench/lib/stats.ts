/** Min, median and max of repeated runs, and the ratio of paired ones. */

export const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? Number.NaN;
  const low = sorted[middle - 1] ?? high;
  return {
    min: sorted[0] ?? Number.NaN,
    median: sorted.length % 2 === 1 ? high : (low + high) / 2,
    max: sorted.at(-1) ?? Number.NaN,
  };
}

/** Run by run: ours over theirs. */
export function ratios(ours: readonly number[], theirs: readonly number[]): Spread {
  return spread(ours.map((value, run) => value / (theirs[run] ?? Number.NaN)));
}

function figure(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: value < 100 ? 2 : 0 });
}

/** One line of a table: a name, then min / median / max. */
export function row(name: string, { min, median, max }: Spread, unit = ''): string {
  const cells = [min, median, max].map((value) => figure(value).padStart(11)).join('');
  return `${name.padEnd(44)}${cells}  ${unit}`;
}

export function heading(title: string): string {
  const columns = ['min', 'median', 'max'].map((name) => name.padStart(11)).join('');
  return `\n${title.padEnd(44)}${columns}`;
}
