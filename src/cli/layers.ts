/**
 * Layers: where options come from: flags, variables, a file; the first that has one wins.
 * From: commandLine.ts, with arguments and environment.  To: config.ts; configTable.ts.
 * Bound: what it does not know it refuses, or names.
 */
import type { Layer, Options } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import { FOREIGN_VARIABLES, OPTION_NAMES } from '../base/options.ts';
import type { Arguments } from './commandParts.ts';
import { LISTS, optionsOfFile } from './configFile.ts';
import { quote } from './usage.ts';

const VARIABLE_PREFIX = 'OWSLA_';
export const CLI_FLAGS = [...OPTION_NAMES, 'config', 'set'] as const;

/** A layer that knows what it is. */
export interface SourceLayer extends Layer {
  readonly source: 'command line' | 'environment' | 'file';
}

/** Flags, variables, file: the first one that has an option wins. */
export function layersOf(argv: Arguments, env: NodeJS.ProcessEnv): SourceLayer[] {
  const layers: SourceLayer[] = [
    { source: 'command line', options: optionsOfFlags(argv), nameOf: (name) => `--${name}` },
    { source: 'environment', options: optionsOfVariables(env), nameOf: variableOf },
  ];
  const file = textOf(argv.config) ?? env[variableOf('config')];
  if (file === undefined) return layers;
  const nameOf = (name: string) => `${name} in ${file}`;
  return [...layers, { source: 'file', options: optionsOfFile(file), nameOf }];
}

function optionsOfFlags(argv: Arguments): Options {
  const given: Record<string, string | boolean> = {};
  for (const name of CLI_FLAGS) {
    const value = argv[name];
    if (value === undefined || name === 'set') continue;
    if (LISTS.includes(name)) given[name] = [value].flat().join();
    else if (!Array.isArray(value)) given[name] = value as string | boolean;
    else throw new StartError(EXIT.usage, `--${name} is given more than once`);
  }
  const set = argv.set as readonly string[] | undefined;
  return { ...given, ...(set ? { set: pairsOf(set, '--set') } : {}) };
}

function optionsOfVariables(env: NodeJS.ProcessEnv): Options {
  const given: Record<string, string> = {};
  for (const name of OPTION_NAMES) {
    const value = env[variableOf(name)];
    if (value !== undefined) given[name] = value;
  }
  const set = env[variableOf('set')];
  if (set === undefined) return given;
  return { ...given, set: pairsOf(set.split(/[,\s]+/).filter(Boolean), variableOf('set')) };
}

function pairsOf(pairs: readonly string[], label: string): Record<string, string> {
  // Without a prototype, any name is one: `__proto__` is a limit that does not exist.
  const set: Record<string, string> = Object.create(null);
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    if (at < 1) throw new StartError(EXIT.usage, `${label} takes NAME=VALUE, not ${quote(pair)}`);
    set[pair.slice(0, at)] = pair.slice(at + 1);
  }
  return set;
}

export function variableOf(name: string): string {
  return VARIABLE_PREFIX + name.toUpperCase().replaceAll(/[- ]/g, '_');
}

/** Warned about, not refused: tests and orchestrators put variables of their own there. */
export function unknownVariables(env: NodeJS.ProcessEnv): string[] {
  const known = CLI_FLAGS.map(variableOf);
  return Object.keys(env).filter(
    (name) =>
      name.startsWith(VARIABLE_PREFIX) && !known.includes(name) && !FOREIGN_VARIABLES.test(name),
  );
}

export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
