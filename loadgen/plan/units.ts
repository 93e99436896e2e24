/**
 * Units: durations, sizes, ranges, rates and address lists as people write them.
 * From: flags and scenario files.  To: plan.ts, as numbers.
 * Bound: anything that is not understood throws a UsageError that names what was expected.
 */

/** The command line or a scenario file is wrong: one sentence for the user, exit code 64. */
export class UsageError extends Error {
  constructor(sentence: string) {
    super(sentence);
    this.name = 'UsageError';
  }
}

/** What was thrown, for such a sentence. */
export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Milliseconds of `250ms`, `1.5s`, `5m`, `1h`; a bare number is seconds. */
export function duration(name: string, text: string | number): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(String(text).trim());
  if (!match) throw new UsageError(`${name}: '${text}' is no duration (250ms, 1.5s, 5m, 1h)`);
  return Number(match[1]) * (MS[match[2] ?? 's'] ?? 1_000);
}

/** `2s` or `1s-5s` as milliseconds from, to. */
export function durations(name: string, text: string | number): { min: number; max: number } {
  const [low = '', high, more] = String(text).split('-');
  const min = duration(name, low);
  const max = high === undefined ? min : duration(name, high);
  if (more !== undefined || max < min) {
    throw new UsageError(`${name}: '${text}' is no range of durations (2s, 1s-5s)`);
  }
  return { min, max };
}

/** A number of at least `min`. */
export function number(name: string, text: string | number, min = 0): number {
  const value = Number(text);
  if (String(text).trim() === '' || !Number.isFinite(value) || value < min) {
    throw new UsageError(`${name}: '${text}' is no number of at least ${min}`);
  }
  return value;
}

/** A whole number from `min` to `max`. */
export function whole(
  name: string,
  text: string | number,
  min = 0,
  max = Number.MAX_SAFE_INTEGER,
): number {
  const value = number(name, text, min);
  if (!Number.isInteger(value) || value > max) {
    throw new UsageError(`${name}: '${text}' is no whole number from ${min} to ${max}`);
  }
  return value;
}

/** `64` or `16-1024`. */
export function wholes(name: string, text: string | number, min: number, max: number) {
  const [low = '', high = low, more] = String(text).split('-');
  const range = { min: whole(name, low, min, max), max: whole(name, high, min, max) };
  if (more !== undefined || range.max < range.min) {
    throw new UsageError(`${name}: '${text}' is no range of whole numbers (64, 16-1024)`);
  }
  return range;
}

/** A share from 0 to 1: `0.05` or `5%`. A bare `1` is refused: some mean 1 %, some everything. */
export function share(name: string, text: string | number): number {
  const match = /^(\d+(?:\.\d+)?)(%)?$/.exec(String(text).trim());
  if (match?.[0] === '1') throw new UsageError(`${name}: '1' may be 1% or 100%: write which`);
  const value = match ? Number(match[1]) / (match[2] ? 100 : 1) : Number.NaN;
  if (!(value >= 0 && value <= 1)) {
    throw new UsageError(`${name}: '${text}' is no share (0.05 or 5%)`);
  }
  return value;
}

/** `HOST:PORT`, `[::1]:PORT`. */
export function hostPort(name: string, text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text.trim());
  if (!match) throw new UsageError(`${name}: '${text}' is not HOST:PORT`);
  return { host: match[1] ?? match[2] ?? '', port: whole(name, match[3] ?? '', 1, 65_535) };
}

function ipv4(name: string, text: string): number {
  const parts = text.trim().split('.').map(Number);
  const isRight =
    parts.length === 4 && parts.every((p) => Number.isInteger(p) && p >= 0 && p < 256);
  if (!isRight) throw new UsageError(`${name}: '${text}' is no IPv4 address`);
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

const ADDRESSES_MAX = 4_096;

/** `127.0.0.2-127.0.0.20,127.0.1.1`: every address, in order. */
export function addresses(name: string, text: string): string[] {
  const found: string[] = [];
  for (const part of text.split(',')) {
    const [low = '', high = low] = part.split('-');
    const first = ipv4(name, low);
    const last = ipv4(name, high);
    if (last < first || last - first >= ADDRESSES_MAX) {
      throw new UsageError(`${name}: '${part}' is no range of at most ${ADDRESSES_MAX} addresses`);
    }
    for (let a = first; a <= last; a += 1) {
      found.push([a >>> 24, (a >>> 16) & 255, (a >>> 8) & 255, a & 255].join('.'));
    }
  }
  return found;
}
