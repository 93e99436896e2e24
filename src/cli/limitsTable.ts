/**
 * LimitsTable: what `owsla limits` prints.
 * From: the list in limits.ts.  To: the command line, as text or JSON.
 * Bound: a line for each limit.
 */
import {
  LIMIT_NAMES,
  LIMIT_SPECS,
  type LimitName,
  type LimitUnit,
  QUEUE_LIMITS,
} from '../base/limits.ts';
import { writeDuration, writeSize } from '../base/units.ts';
import { tableOf } from './table.ts';

const WRITE: Readonly<Record<LimitUnit, (value: number) => string>> = {
  bytes: writeSize,
  ms: writeDuration,
  count: String,
};

/** What it takes before another value counts: a reload, or a new queue at the broker. */
function changeOf(name: LimitName): string {
  const queue = QUEUE_LIMITS[name];
  return queue === undefined ? 'reload' : `new queue ${queue}`;
}

/** A limit's value, as a person writes it. */
export function writeLimit(name: LimitName, value: number): string {
  return WRITE[LIMIT_SPECS[name].unit](value);
}

/** Every limit with its default, range, what a change takes, and meaning. */
export function limitsTable(): string {
  const rows = LIMIT_NAMES.map((name) => {
    const { value, min, max, about } = LIMIT_SPECS[name];
    const write = (number: number) => writeLimit(name, number);
    return [name, write(value), `${write(min)} to ${write(max)}`, changeOf(name), about];
  });
  return tableOf([['limit', 'default', 'range', 'change', 'about'], ...rows]);
}

/** The same: a JSON object for each, numbers in its unit. */
export function limitsJson(): string {
  const lines = LIMIT_NAMES.map((name) => {
    const { value, unit, min, max, about } = LIMIT_SPECS[name];
    const queue = QUEUE_LIMITS[name] ?? null;
    const change = queue === null ? 'reload' : 'queue';
    return JSON.stringify({ name, default: value, unit, min, max, change, queue, about });
  });
  return `${lines.join('\n')}\n`;
}
