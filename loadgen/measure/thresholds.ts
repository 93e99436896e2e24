/**
 * Thresholds: `--fail-if 'rt_p99 > 20ms'`: what makes a run a failure, decided by a machine.
 * From: settings.ts as text; the report's figures.  To: the report and exit code 99.
 * Bound: a closed list of figure names; an unknown one is refused before the run.
 */
import { duration, UsageError } from '../plan/units.ts';
import type { TimeName } from './measures.ts';

const OPERATORS = {
  '>=': (a: number, b: number) => a >= b,
  '<=': (a: number, b: number) => a <= b,
  '>': (a: number, b: number) => a > b,
  '<': (a: number, b: number) => a < b,
  '==': (a: number, b: number) => a === b,
  '!=': (a: number, b: number) => a !== b,
} as const;
type Operator = keyof typeof OPERATORS;

export interface Threshold {
  readonly text: string;
  readonly figure: string;
  readonly operator: Operator;
  /** Milliseconds for times, 0 to 1 for shares, per second for rates, counts otherwise. */
  readonly limit: number;
}

export interface Judged {
  readonly text: string;
  readonly value: number;
  /** The value with its unit, for people. */
  readonly shown: string;
  readonly crossed: boolean;
}

/** What a percentile's name begins with, and the times that are meant. */
const TIMES: ReadonlyMap<string, TimeName> = new Map([
  ['rt', 'request'],
  ['rt_raw', 'requestRaw'],
  ['event', 'event'],
  ['event_raw', 'eventRaw'],
  ['connect', 'connect'],
  ['connect_raw', 'connectRaw'],
  ['command', 'command'],
  ['outcome', 'outcome'],
  ['pause', 'pause'],
  ['pause_before', 'pauseBefore'],
]);
const PERCENTILES = ['p50', 'p90', 'p99', 'p999', 'p9999', 'max', 'mean'] as const;

/** Of a figure that is one: which times, and what of them. */
export function percentileOf(
  figure: string,
): { readonly times: TimeName; readonly at: (typeof PERCENTILES)[number] } | undefined {
  const end = figure.lastIndexOf('_');
  const times = TIMES.get(figure.slice(0, end));
  const at = PERCENTILES.find((name) => name === figure.slice(end + 1));
  return times === undefined || at === undefined ? undefined : { times, at };
}

/** Names of figures besides the percentiles; report.ts gives their values. */
export const FIGURES = [
  'lost',
  'unacked',
  'cut',
  'doubled',
  'wrong',
  'misrouted',
  'vanished',
  'twice',
  'elsewhere',
  'disordered',
  'unsettled',
  'untold',
  'contradicted',
  'denied',
  'unacted',
  'flickered',
  'late',
  'redelivered',
  'reordered',
  'unheard',
  'repeated',
  'skipped',
  'late_sends',
  'connect_rate',
  'connect_failures',
  'newcomers',
  'links',
  'links_lost',
  'handshakes_full',
  'handshakes_resumed',
  'handshakes_failed',
  'errors',
  'requests',
  'replies',
  'events',
  'acks',
  'commands',
  'acted',
  'request_rate',
  'reply_rate',
  'ack_rate',
] as const;

type Kind = 'time' | 'share' | 'rate' | 'count';

const SHARES = ['late_sends'];
const RATES = ['connect_rate', 'request_rate', 'reply_rate', 'ack_rate'];

function isFigure(name: string): boolean {
  return percentileOf(name) !== undefined || FIGURES.some((figure) => figure === name);
}

function kindOf(figure: string): Kind {
  if (percentileOf(figure) !== undefined) return 'time';
  if (SHARES.includes(figure)) return 'share';
  return RATES.includes(figure) ? 'rate' : 'count';
}

/** How the limit of each kind is written: what could be read in two ways is refused. */
const LIMITS: Readonly<Record<Kind, { pattern: RegExp; wanted: string }>> = {
  time: { pattern: /^[\d.]+(?:ms|s|m|h)$/, wanted: 'a time with its unit: 20ms, 1.5s' },
  share: { pattern: /^[\d.]+%$/, wanted: 'a share in percent, from 0% to 100%' },
  rate: { pattern: /^[\d.]+(?:\/s)?$/, wanted: 'a number a second: 2000 or 2000/s' },
  count: { pattern: /^\d+$/, wanted: 'a count, a whole number without a unit' },
};

function limitOf(figure: string, text: string): number {
  const kind = kindOf(figure);
  const { pattern, wanted } = LIMITS[kind];
  const value = kind === 'time' ? Number.parseFloat(text) : Number(text.replace(/%$|\/s$/, ''));
  if (!pattern.test(text) || !Number.isFinite(value) || (kind === 'share' && value > 100)) {
    throw new UsageError(`--fail-if: '${figure}' wants ${wanted}; not '${text}'`);
  }
  if (kind === 'time') return duration('--fail-if', text);
  return kind === 'share' ? value / 100 : value;
}

/** A figure's value with its unit. */
function shownAs(figure: string, value: number): string {
  const kind = kindOf(figure);
  if (kind === 'time') return `${value} ms`;
  if (kind === 'share') return `${Number((100 * value).toPrecision(3))} %`;
  return kind === 'rate' ? `${value}/s` : String(value);
}

/** Read one threshold. Throws UsageError when its figure, operator or limit is not known. */
export function parseThreshold(text: string): Threshold {
  const match = /^\s*([a-z_0-9]+)\s*(>=|<=|==|!=|>|<)\s*(\S+)\s*$/.exec(text);
  if (!match) throw new UsageError(`--fail-if: '${text}' is not FIGURE > LIMIT`);
  const [, figure = '', operator = '', limit = ''] = match;
  if (!isFigure(figure)) {
    throw new UsageError(
      `--fail-if: no figure '${figure}'; there are rt_p99, event_p99, connect_p99, ` +
        `command_p99, outcome_p99, pause_p99 (p50 p90 p99 p999 p9999 max mean, ` +
        `also rt_raw_p99) and ${FIGURES.join(', ')}`,
    );
  }
  return {
    text: text.trim(),
    figure,
    operator: operator as Operator,
    limit: limitOf(figure, limit),
  };
}

/**
 * Judge thresholds by `figureOf`. A figure without a value (no reply at all: no percentile) counts
 * as crossed: a run that measured nothing has not shown that it is good enough.
 */
export function judge(
  thresholds: readonly Threshold[],
  figureOf: (figure: string) => number | undefined,
): Judged[] {
  return thresholds.map(({ text, figure, operator, limit }) => {
    const value = figureOf(figure);
    if (value === undefined) {
      return { text, value: Number.NaN, shown: 'no value', crossed: true };
    }
    const shown = shownAs(figure, value);
    return { text, value, shown, crossed: OPERATORS[operator](value, limit) };
  });
}
