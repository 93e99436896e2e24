/**
 * Check: proves all of a config that can be proved without serving, and tells each step.
 * From: `owsla check`.  To: a line for each step; the exit code of the first that fails.
 * Bound: the same steps as preflight.ts, and their time. Where a node runs with this --run-dir,
 * its ports and its store are taken, and are not tried.
 */
import type { Config } from '../base/config.ts';
import { EXIT, type ExitCode, StartError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { controlSocket } from '../node/ipc.ts';
import { isAnswered } from './places.ts';
import { preflightSteps } from './preflight.ts';

/** One thing that was proved, or was not. */
export interface CheckStep {
  readonly what: string;
  readonly state: 'ok' | 'warning' | 'failed' | 'not tried';
  readonly why?: string;
}

/** Calls `tell` for each step, in order. */
export async function checkConfig(
  config: Config,
  tell: (step: CheckStep) => void,
): Promise<ExitCode> {
  const checker = new Checker(tell);
  const isRunning = config.runDir !== '' && (await isAnswered(controlSocket(config.runDir)));
  for (const { what, isHeld, check } of preflightSteps(config, checker.log).steps) {
    if (!isRunning || !isHeld) await checker.step(what, check);
  }
  if (isRunning) {
    const why = `a node runs with --run-dir ${config.runDir}`;
    tell({ what: 'ports, run-dir, store', state: 'not tried', why });
  }
  return checker.exitCode;
}

class Checker {
  exitCode: ExitCode = EXIT.ok;
  readonly #tell: (step: CheckStep) => void;
  #warning: string | undefined;

  constructor(tell: (step: CheckStep) => void) {
    this.#tell = tell;
  }

  /** What a start would log. */
  readonly log: Pick<Logger, 'warn'> = {
    warn: (facts: object, text?: string) => {
      const { reason, endsAt } = facts as { reason?: string; endsAt?: string };
      this.#warning = [text, reason, endsAt].filter(Boolean).join(': ');
    },
  };

  async step(what: string, check: () => unknown): Promise<void> {
    this.#warning = undefined;
    try {
      await check();
      const why = this.#warning;
      this.#tell(why === undefined ? { what, state: 'ok' } : { what, state: 'warning', why });
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      if (this.exitCode === EXIT.ok) this.exitCode = error.exitCode;
      this.#tell({ what, state: 'failed', why: error.message });
    }
  }
}
