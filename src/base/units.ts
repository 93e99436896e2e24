/**
 * Units: durations and sizes as people write them, and names that are nearly right.
 * From: commandLine.ts and config.ts, which read text.
 * To: numbers of ms and bytes, or `undefined`.
 * Bound: nothing is rounded: `1.5s` is 1500 ms, `0.5ms` is refused.
 */

const MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const BYTES: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

function scaled(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(text.trim());
  const scale = match && Object.hasOwn(units, match[2] ?? '') ? units[match[2] ?? ''] : undefined;
  if (!match || scale === undefined) return undefined;
  // 1.1 * 1000 is 1100.0000000000002: the digits that a person can write are well within 1e-6.
  const value = Number(match[1]) * scale;
  const whole = Math.round(value);
  return Math.abs(value - whole) < 1e-6 ? whole : undefined;
}

/** Milliseconds of `500ms`, `10s`, `5m`, `1h` or `2d`; `undefined` for anything else. */
export function parseDuration(text: string): number | undefined {
  return scaled(text, MS);
}

/** Bytes of `512B`, `64KiB`, `1MiB` or `1GiB`; `undefined` for anything else. */
export function parseSize(text: string): number | undefined {
  return scaled(text, BYTES);
}

/** A bare whole number, or `undefined`. */
export function parseWhole(text: string): number | undefined {
  return /^\d{1,15}$/.test(text.trim()) ? Number(text) : undefined;
}

function written(value: number, units: Readonly<Record<string, number>>): string {
  const fitting = Object.entries(units).filter(([, scale]) => value % scale === 0);
  const [unit, scale] = fitting.at(-1) ?? ['', 1];
  return `${value / scale}${unit}`;
}

/** `90s`, `5m`: the largest unit that needs no fraction. */
export function writeDuration(valueMs: number): string {
  return valueMs === 0 ? '0ms' : written(valueMs, MS);
}

/** `64KiB`, `100B`: the largest unit that needs no fraction. */
export function writeSize(valueBytes: number): string {
  return valueBytes === 0 ? '0B' : written(valueBytes, BYTES);
}

/** Levenshtein distance, for words of a few letters. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** `; did you mean <word>?` for the nearest known word, or nothing when none is near. */
export function didYouMean(word: string, known: readonly string[], prefix = ''): string {
  const near = known
    .map((candidate) => ({
      candidate,
      away: distance(word.toLowerCase(), candidate.toLowerCase()),
    }))
    .filter(({ candidate, away }) => away <= Math.max(2, Math.floor(candidate.length / 3)))
    .sort((a, b) => a.away - b.away)[0];
  return near ? `; did you mean ${prefix}${near.candidate}?` : '';
}
