/**
 * Latency: how long innocents waited, in quiet stretches and in those with bad neighbours. Pure.
 * From: the books of a run, and when each stretch was.  To: percentiles of all that was sent, also
 * of what was never answered, or not well: that took for ever.
 * Bound: one number for each message of the run.
 */
import type { Books, Span } from './books.ts';
import type { CommandBooks } from './commandBooks.ts';

export type Side = 'quiet' | 'bad';

export interface Stretch extends Span {
  readonly side: Side;
}

export interface Timed {
  readonly at: number;
  readonly tookMs: number;
}

export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
}

export interface Latency {
  /** `EVENT -> ACK`. */
  readonly way: string;
  readonly quiet: Percentiles;
  readonly bad: Percentiles;
  /** p99 with bad neighbours, as a multiple of the quiet one. */
  readonly ratio: number;
  /** p99 of each stretch, in their order. */
  readonly stretches: readonly number[];
}

/** The least of `sorted` that so many of a hundred do not exceed; NaN of none. */
export function percentile(sorted: readonly number[], hundredths: number): number {
  return sorted[Math.ceil((sorted.length * hundredths) / 100) - 1] ?? Number.NaN;
}

function percentilesOf(timed: readonly Timed[], stretches: readonly Stretch[]): Percentiles {
  const isIn = (at: number) => stretches.some(({ from, to }) => at >= from && at < to);
  const took = timed.filter(({ at }) => isIn(at)).map(({ tookMs }) => tookMs);
  took.sort((a, b) => (a < b ? -1 : 1));
  return { count: took.length, p50: percentile(took, 50), p99: percentile(took, 99) };
}

export function compare(
  way: string,
  timed: readonly Timed[],
  stretches: readonly Stretch[],
): Latency {
  const of = (side: Side) =>
    percentilesOf(
      timed,
      stretches.filter((stretch) => stretch.side === side),
    );
  const [quiet, bad] = [of('quiet'), of('bad')];
  const p99s = stretches.map((stretch) => percentilesOf(timed, [stretch]).p99);
  // Times are whole milliseconds: less than one is one.
  const ratio = Math.max(1, bad.p99) / Math.max(1, quiet.p99);
  return { way, quiet, bad, ratio, stretches: p99s };
}

/** `residents`: so many devices have a link all the time, the first ones. */
export function latencies(
  books: Books,
  commands: CommandBooks,
  residents: number,
  stretches: readonly Stretch[],
): Latency[] {
  const messages = [...books.timings()];
  const of = (kind: string) => messages.filter((message) => message.kind === kind);
  const commanded = [...commands.timings()].filter(({ device }) => device < residents);
  return [
    compare('REQUEST -> REPLY', of('request'), stretches),
    compare('EVENT -> ACK', of('event'), stretches),
    compare('command -> result', commanded, stretches),
  ];
}
