/**
 * LinkQuery: which links are meant: conditions such as `outbox>64KiB`, as people write them. Pure.
 * From: `--where` of the command line, `where=` of the HTTP API.  To: acceptors, for each link.
 * Bound: CONDITIONS_MAX conditions, each of TEXT_MAX characters; what is not known is refused.
 */
import { didYouMean, parseDuration, parseSize, parseWhole } from '../base/units.ts';

export type FieldKind = 'text' | 'number' | 'bytes' | 'ms';

/** Of links. All but those of text can be sorted by. */
export const LINK_FIELDS = {
  ...{ device: 'text', acceptor: 'number', listener: 'text', protocol: 'text', peer: 'text' },
  ...{ state: 'text', method: 'text', paused: 'text', outbox: 'bytes', held: 'bytes' },
  ...{ rate: 'number', age: 'ms', idle: 'ms', 'in-flight': 'number', messages: 'number' },
  ...{ bytes: 'bytes', 'not-allowed': 'number' },
} as const satisfies Record<string, FieldKind>;
export type LinkField = keyof typeof LINK_FIELDS;

/** Of ended ones. `age`: since they ended. */
export const CLOSED_FIELDS = {
  ...{ device: 'text', acceptor: 'number', listener: 'text', peer: 'text', reason: 'text' },
  ...{ why: 'text', proved: 'text', age: 'ms', duration: 'ms', messages: 'number', bytes: 'bytes' },
} as const satisfies Record<string, FieldKind>;
export type ClosedField = keyof typeof CLOSED_FIELDS;

/** What ended links may be counted by. */
export const CLOSED_GROUPS = ['device', 'reason', 'peer', 'listener', 'why'] as const;
export type ClosedGroupField = (typeof CLOSED_GROUPS)[number];

export const SORT_FIELDS = (Object.keys(LINK_FIELDS) as LinkField[]).filter(
  (name) => LINK_FIELDS[name] !== 'text' && name !== 'acceptor',
);

export type Fields = Readonly<Record<string, FieldKind>>;
type Sign = '=' | '!=' | '>' | '<';

export interface Condition {
  readonly field: string;
  readonly sign: Sign;
  readonly value: string | number;
}

/** One sentence that says what is wrong. */
export class QueryError extends Error {}

const CONDITIONS_MAX = 8;
const TEXT_MAX = 128;

/** Throws a QueryError. */
export function readConditions(where: unknown, fields: Fields): Condition[] {
  const texts = where === undefined || where === null ? [] : [where].flat();
  if (texts.length > CONDITIONS_MAX) {
    throw new QueryError(`at most ${CONDITIONS_MAX} conditions are taken at once`);
  }
  return texts.map((text) => readCondition(text, fields));
}

function readCondition(text: unknown, fields: Fields): Condition {
  const isShort = typeof text === 'string' && text.length <= TEXT_MAX;
  const [, field, sign, written] = (isShort && /^([a-z-]+)(=|!=|>|<)(.*)$/.exec(text)) || [];
  if (field === undefined || sign === undefined || written === undefined) {
    throw new QueryError('a condition is a field, one of = != > < and a value: outbox>64KiB');
  }
  const kind = Object.hasOwn(fields, field) ? fields[field] : undefined;
  if (kind === undefined) {
    const near = didYouMean(field, Object.keys(fields)) || `: ${Object.keys(fields).join(' ')}`;
    throw new QueryError(`there is no field ${field}${near}`);
  }
  return { field, sign: sign as Sign, value: readValue(field, kind, sign, written) };
}

function readValue(field: string, kind: FieldKind, sign: string, text: string): string | number {
  if (kind === 'text') {
    if (sign === '=' || sign === '!=') return text;
    throw new QueryError(`${field} is a text: it is = or != a value, which may end with *`);
  }
  const value = numberOf(kind, text);
  if (value !== undefined) return value;
  const such = { number: '2', bytes: '64KiB', ms: '5m' }[kind];
  throw new QueryError(`${field} takes a value such as ${such}`);
}

function numberOf(kind: Exclude<FieldKind, 'text'>, text: string): number | undefined {
  if (kind === 'ms') return parseDuration(text) ?? parseWhole(text);
  if (kind === 'bytes') return parseSize(text) ?? parseWhole(text);
  return /^\d{1,12}(\.\d{1,6})?$/.test(text) ? Number(text) : undefined;
}

/** `*` at the end: it begins so; alone: it is not empty. */
export function meets({ sign, value }: Condition, actual: string | number): boolean {
  if (sign === '>') return actual > value;
  if (sign === '<') return actual < value;
  return (sign === '=') === isLike(value, actual);
}

function isLike(value: string | number, actual: string | number): boolean {
  if (typeof value === 'number' || typeof actual === 'number') return value === actual;
  if (value === '*') return actual !== '';
  return value.endsWith('*') ? actual.startsWith(value.slice(0, -1)) : actual === value;
}
