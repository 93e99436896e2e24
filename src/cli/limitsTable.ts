/**
 * LimitsTable: what `owsla limits` prints.
 * From: the list in limits.ts.  To: the command line, as text.
 * Bound: a line for each limit.
 */
import { LIMIT_NAMES, LIMIT_SPECS, type LimitUnit } from '../base/limits.ts';
import { writeDuration, writeSize } from '../base/units.ts';
import { tableOf } from './table.ts';

const WRITE: Readonly<Record<LimitUnit, (value: number) => string>> = {
  bytes: writeSize,
  ms: writeDuration,
  count: String,
};

/** Every limit with its default, range and meaning. */
export function limitsTable(): string {
  const rows = LIMIT_NAMES.map((name) => {
    const { value, unit, min, max, about } = LIMIT_SPECS[name];
    const write = WRITE[unit];
    return [name, write(value), `${write(min)} to ${write(max)}`, about];
  });
  return tableOf([['limit', 'default', 'range', 'about'], ...rows]);
}
