/**
 * ServeCommand: what `owsla serve` and `owsla check` do, and what is loaded for these two alone:
 * the supervisor, the broker, the store.
 * From: commandLine.ts, with a config.  To: preflight.ts, then supervisor.ts; check.ts.
 * Bound: none of its own.
 */
import type { Config } from '../base/config.ts';
import type { ExitCode } from '../base/errors.ts';
import { makeLogger } from '../base/log.ts';
import { redact } from '../base/redact.ts';
import { notifyIgnored } from '../base/signals.ts';
import { didYouMean } from '../base/units.ts';
import { checkConfig } from '../supervisor/check.ts';
import { preflight } from '../supervisor/preflight.ts';
import { proverOf } from '../supervisor/prover.ts';
import { supervise } from '../supervisor/supervisor.ts';
import { CLI_FLAGS, unknownVariables, variableOf } from './layers.ts';

/** How this process was called. */
export interface Called {
  readonly program: string;
  readonly args: readonly string[];
  readonly variables: NodeJS.ProcessEnv;
}

/** A node, until it has ended; its exit code. Rejects with a StartError. */
export async function serveNode(
  config: Config,
  { program, args, variables }: Called,
): Promise<number> {
  const log = makeLogger(config.logLevel, { role: 'supervisor' });
  notifyIgnored((signal, times) => log.info({ signal, times }, 'signal ignored'));
  for (const name of unknownVariables(variables)) {
    const near = didYouMean(name, CLI_FLAGS.map(variableOf));
    log.warn({ variable: name }, `unknown variable${near}`);
  }
  const prove = proverOf(program, args);
  const proved = await preflight(config, log);
  return supervise(proved, log, { service: variables, prove });
}

/** A line for each step. */
export function checkStart(config: Config, print: (line: string) => void): Promise<ExitCode> {
  return checkConfig(config, ({ what, state, why }) => {
    print(redact([state, what, why].filter(Boolean).join(': ')));
  });
}
