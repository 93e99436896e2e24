/**
 * Options: the flags of a bench, each by its default, and its header as `--help`.
 * From: the command line, `--connect-rate 500` for `connectRate`.  To: plain values.
 * Bound: a flag that is not there, or a number that is none, is an error before anything starts.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

type Default = string | number | boolean | readonly string[];

/** Of the default's own type; lists come of flags that may be given several times. */
type Values<D> = {
  readonly [Name in keyof D]: D[Name] extends number
    ? number
    : D[Name] extends boolean
      ? boolean
      : D[Name] extends string
        ? string
        : readonly string[];
};

const flagOf = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function kindOf(value: Default) {
  const type = typeof value === 'boolean' ? ('boolean' as const) : ('string' as const);
  return { type, multiple: Array.isArray(value) };
}

function asDefault(flag: string, value: Default, given: unknown): unknown {
  if (given === undefined) return value;
  if (typeof value !== 'number') return given;
  const number = Number(given);
  if (Number.isFinite(number)) return number;
  throw new Error(`--${flag}: '${given}' is no number`);
}

/** What its own header says of a bench, without the comment's stars. */
function headerOf(file: string): string {
  const header = /\/\*\*\n([\s\S]*?)\n \*\//.exec(readFileSync(file, 'utf8'))?.[1] ?? '';
  return header.replace(/^ \* ?/gm, '');
}

export function options<D extends Readonly<Record<string, Default>>>(defaults: D): Values<D> {
  const flags = Object.entries(defaults).map(([name, value]) => [flagOf(name), kindOf(value)]);
  const help = { type: 'boolean' } as const;
  const { values } = parseArgs({ options: { ...Object.fromEntries(flags), help } });
  const given = values as Readonly<Record<string, unknown>>;
  if (given.help === true) {
    console.log(headerOf(process.argv[1] ?? ''));
    process.exit();
  }
  return Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => {
      const flag = flagOf(name);
      return [name, asDefault(flag, value, given[flag])];
    }),
  ) as Values<D>;
}
