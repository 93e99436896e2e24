/**
 * CommandLine: the command line of `owsla-loadgen`; the only reader of arguments.
 * From: cli.ts; the user.  To: run.ts, backend.ts, compare.ts, with plain settings.
 * Bound: a mistake is one sentence on stderr and exit code 64, before anything is started.
 */
import { randomInt } from 'node:crypto';
import yargs, { type Argv, type Options } from 'yargs';
import { hideBin } from 'yargs/helpers';
import { markOperands, unmarked } from '../src/base/operands.ts';
import { backendOptions, runBackend } from './backendCli.ts';
import { type Given, OPTION_NAMES, OPTIONS, type OptionValue } from './plan/options.ts';
import { readScenario } from './plan/scenario.ts';
import { makeOutput, makePlan } from './plan/settings.ts';
import { UsageError } from './plan/units.ts';
import { writeComparison } from './report/compare.ts';
import { EXIT } from './report/report.ts';
import { PreflightError, run } from './run.ts';

const TYPES = { text: 'string', flag: 'boolean', list: 'array' } as const;

/** `connectRate` as the flag `connect-rate`. */
function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function runOptions(): Record<string, Options> {
  const options: Record<string, Options> = {};
  for (const name of OPTION_NAMES) {
    const { kind, about, group, ...rest } = OPTIONS[name];
    const hint = kind === 'text' && 'default' in rest ? ` [default: ${rest.default}]` : '';
    options[kebab(name)] = {
      type: TYPES[kind],
      describe: `${about}${hint}`,
      group,
      // Every value stays text, so that a flag and a scenario's key are read by the same code.
      ...(kind === 'text' ? { requiresArg: true } : {}),
      ...(kind === 'list' ? { requiresArg: true, string: true, nargs: 1 } : {}),
    };
  }
  return options;
}

function given(argv: Record<string, unknown>): Given {
  const found: Given = {};
  for (const name of OPTION_NAMES) {
    const value = argv[name];
    if (value === undefined) continue;
    if (Array.isArray(value) && OPTIONS[name].kind !== 'list') {
      throw new UsageError(`--${kebab(name)}: given more than once`);
    }
    found[name] = value as OptionValue;
  }
  return found;
}

/** The command line wins; its --duration replaces a scenario's stages, and the other way round. */
function merged(scenario: Given, flags: Given): Given {
  const { stage, duration, ...others } = scenario;
  const timing: Given = {};
  if (flags.duration === undefined && stage !== undefined) timing.stage = stage;
  if (flags.stage === undefined && duration !== undefined) timing.duration = duration;
  return { ...others, ...timing, ...flags };
}

async function onRun(argv: Record<string, unknown>): Promise<void> {
  const flags = given(argv);
  const scenario = flags.scenario === undefined ? undefined : readScenario(String(flags.scenario));
  const settings = merged(scenario?.options ?? {}, flags);
  const plan = makePlan(settings, scenario?.profiles ?? [], randomInt(2 ** 32));
  const report = await run(plan, makeOutput(settings));
  process.exitCode = report.exitCode;
}

async function main(): Promise<void> {
  const parser: Argv = yargs(markOperands(hideBin(process.argv)))
    .scriptName('owsla-loadgen')
    .command(
      'run',
      'hold links and send load, then report',
      (args) => args.options(runOptions()),
      (argv) => onRun(argv),
    )
    .command('backend', 'answer requests over AMQP, as a backend does', backendOptions, runBackend)
    .command(
      'compare <a> <b>',
      'set two JSON reports side by side',
      (args) => args.positional('a', { type: 'string' }).positional('b', { type: 'string' }),
      ({ a, b }) => {
        process.stdout.write(writeComparison(unmarked(String(a)), unmarked(String(b))));
      },
    )
    .demandCommand(1, 'one of: run, backend, compare')
    .strict()
    .version(false)
    .wrap(100)
    .fail((message, error) => {
      throw error ?? new UsageError(unmarked(message));
    });
  await parser.parseAsync();
}

try {
  await main();
} catch (error) {
  const isRefusal = error instanceof UsageError || error instanceof PreflightError;
  if (!isRefusal) throw error;
  process.stderr.write(`owsla-loadgen: ${error.message}\n`);
  process.exitCode = error instanceof PreflightError ? EXIT.preflight : EXIT.usage;
}
