/**
 * ProtocolCommand: `owsla protocol check`: can this protocol module be trusted with links?
 * From: commandLine.ts; a module of the operator's own, and a folder of samples.
 * To: the kit; a line for each finding, and an exit code.
 * Bound: the kit's, which ends a module that does not return.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Argv } from 'yargs';
import { EXIT, StartError } from '../base/errors.ts';
import { parseDuration, parseWhole } from '../base/units.ts';
import type { CheckOptions, Finding, Sample } from '../wire/module/moduleTypes.ts';
import { type Arguments, type NodeCommandOptions, withJson, word } from './commandParts.ts';

/** It does not hold all of it. */
const EXIT_FAILED = 2;
const SAY_WHICH = 'give a command: owsla protocol check MODULE';

type Options = Pick<NodeCommandOptions, 'print' | 'exitWith'>;

export function protocolCommand(options: Options) {
  return {
    command: 'protocol',
    describe: 'protocols of your own: check a module before devices speak by it',
    builder: (y: Argv) => y.command(checkCommand(options)).demandCommand(1, SAY_WHICH),
    handler: () => {},
  };
}

function checkCommand({ print, exitWith }: Options) {
  return {
    command: 'check <module>',
    describe:
      'try a protocol module: its samples, any cut of a stream, noise, sizes, moves, memory',
    builder: (y: Argv) =>
      withJson(y)
        .positional('module', { type: 'string', describe: 'its file, such as ./scp.js' })
        .option(
          'samples',
          word('FOLDER: what devices send, a link in each file: .hex, or as it is'),
        )
        .option('rounds', word('NUMBER: rounds of noise; 2000 unless given'))
        .option('seed', word('NUMBER: the same makes the same noise; 1 unless given'))
        .option('call-time', word('DURATION: longest time of one call; 2s unless given'))
        .epilog('Exit code: 0 it holds all of it; 2 it does not; 64 or 78 it was not tried.'),
    handler: async (given: Arguments) => {
      process.title = 'owsla protocol check';
      const path = resolve(String(given.module));
      if (!existsSync(path)) throw new StartError(EXIT.config, `there is no ${path}`);
      const tell = given.json === true ? JSON.stringify : lineOf;
      const { checkModule } = await import('../kit/kit.ts');
      const checked = checkModule(path, await optionsOf(given), (finding) => print(tell(finding)));
      const { isGood, findings } = await checked;
      if (given.json !== true) print(summaryOf(isGood, findings));
      exitWith(isGood ? EXIT.ok : EXIT_FAILED);
    },
  };
}

async function optionsOf(given: Arguments): Promise<CheckOptions> {
  const rounds = wholeIn(given, 'rounds', 1, 10_000_000);
  const seed = wholeIn(given, 'seed', 0, 0xffff_ffff);
  const time = given['call-time'];
  const callMs = time === undefined ? undefined : parseDuration(String(time));
  if (time !== undefined && !callMs) {
    throw new StartError(EXIT.usage, `--call-time takes a time such as 2s, not ${String(time)}`);
  }
  return {
    samples: given.samples === undefined ? [] : await samplesOf(String(given.samples)),
    ...(rounds === undefined ? {} : { rounds }),
    ...(seed === undefined ? {} : { seed }),
    ...(callMs === undefined ? {} : { callMs }),
  };
}

function wholeIn(given: Arguments, name: string, min: number, max: number): number | undefined {
  if (given[name] === undefined) return undefined;
  const value = parseWhole(String(given[name]));
  if (value !== undefined && value >= min && value <= max) return value;
  throw new StartError(EXIT.usage, `--${name} takes a whole number from ${min} to ${max}`);
}

async function samplesOf(folder: string): Promise<Sample[]> {
  const { samplesIn } = await import('../kit/samples.ts');
  try {
    return samplesIn(folder);
  } catch (error) {
    throw new StartError(EXIT.config, `--samples ${folder}: ${(error as Error).message}`);
  }
}

function lineOf({ check, state, what }: Finding): string {
  return `${state.padEnd(6)} ${check.padEnd(8)} ${what}`;
}

function summaryOf(isGood: boolean, findings: readonly Finding[]): string {
  if (isGood) return 'This module can be trusted with links.';
  const failures = findings.filter(({ state }) => state === 'failed').length;
  return `Do not use this module: ${failures} of its checks failed.`;
}
