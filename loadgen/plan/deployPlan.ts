/**
 * DeployPlan: how the server is reloaded in the middle of a run.
 * From: the options of `run`.  To: the Plan; loadgen/deploy and the workers act on it.
 * Bound: what does not fit together throws a UsageError.
 */
import { resolve } from 'node:path';
import type { Reader } from './options.ts';
import { number, UsageError, whole } from './units.ts';

const RELOADS_MAX = 100;
/** Newcomers of a worker: they need open files beside those of the planned devices. */
export const NEWCOMERS_MAX = 500;

export interface DeployPlan {
  /** Its node is told by `owsla reload`. Undefined: `command` does it. */
  readonly runDir: string | undefined;
  /** For `sh -c`; it ends when the reload has, with 0 if it was done. */
  readonly command: string | undefined;
  /** So often, one after another. */
  readonly times: number;
  /** The load goes on for so long before the first one, and after the last. */
  readonly aroundMs: number;
  /** Further devices that connect meanwhile, a second. */
  readonly newcomers: number;
}

/** `durationMs`: of the load around it. Throws UsageError. */
export function readDeploy(read: Reader, durationMs: number): DeployPlan | undefined {
  const [command, runDir] = [read.maybe('reload'), read.maybe('runDir')];
  if (command === undefined && runDir === undefined) {
    for (const name of ['reloads', 'newcomers'] as const) {
      if (read.isGiven(name)) {
        throw new UsageError(`--${name}: it needs --run-dir DIR, or --reload COMMAND`);
      }
    }
    return undefined;
  }
  if (command !== undefined && runDir !== undefined) {
    throw new UsageError('--reload and --run-dir: one of them says how the server is reloaded');
  }
  if (read.list('stage').length > 0) {
    throw new UsageError('--reload and --run-dir: they go with --duration, not with --stage');
  }
  if (durationMs === 0) {
    throw new UsageError('--duration: with a reload the load ends that long after it, so not 0');
  }
  return {
    runDir: runDir === undefined ? undefined : resolve(runDir),
    command,
    times: whole('--reloads', read.text('reloads'), 1, RELOADS_MAX),
    aroundMs: durationMs,
    newcomers: number('--newcomers', read.text('newcomers')),
  };
}
