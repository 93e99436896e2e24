/**
 * CommandParts: what commands have in common: how they are wired, and the arguments of several.
 * From: commandLine.ts, which fills NodeCommandOptions.  To: the commands; yargs.
 * Bound: a device id that cannot be one is one sentence and exit code 64.
 */
import type { Argv } from 'yargs';
import type { Config } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import { DEVICE_ID, DEVICE_ID_RULE } from '../base/names.ts';
import { unmarked } from '../base/operands.ts';

/** As yargs has read them. */
export type Arguments = Readonly<Record<string, unknown>>;

/** What a command needs that asks a node of this machine. */
export interface NodeCommandOptions {
  /** `--run-dir` and `--config`. */
  readonly nodeOptions: (y: Argv) => Argv;
  readonly configOf: (given: Arguments) => Config;
  /** One line of output. */
  readonly print: (line: string) => void;
  readonly exitWith: (code: number) => void;
}

/** An option that takes a word. */
export function word(describe: string) {
  return { type: 'string', requiresArg: true, describe } as const;
}

export function withJson(y: Argv): Argv {
  return y.option('json', { type: 'boolean', describe: 'one JSON object per line' });
}

export function withDevice(y: Argv): Argv {
  return y.positional('device', { type: 'string', describe: 'a device id' });
}

/** Throws a StartError where the word cannot be one. */
export function deviceOf(given: Arguments): string {
  const device = unmarked(String(given.device));
  if (DEVICE_ID.test(device)) return device;
  throw new StartError(EXIT.usage, DEVICE_ID_RULE);
}
