/**
 * Plain: programs run as from a shell, without what the test runner asks of every Node below it:
 * that costs each process a tenth of its start, or more.
 * From: a command line.  To: one that a spawn can take; or what it printed, and its exit code.
 * Bound: DEADLINE_MS for one that is run to its end; then it is killed, and its status is null.
 */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { delimiter, dirname } from 'node:path';
import { cleanEnvironment } from './environment.ts';

const DEADLINE_MS = 120_000;

/** Node by the flag that `npm run owsla` gives: else each process would begin twice, by execve. */
export const NODE: readonly string[] = [process.execPath, '--disable-sigusr1'];

/**
 * The command line that becomes this one. Within a shell: the runner adds its own options to the
 * environment of whatever is spawned. `before`: run by the shell, as in `ulimit -n 300`.
 */
export function plainly(
  command: readonly string[],
  { NODE_OPTIONS = '' }: NodeJS.ProcessEnv = {},
  before = ':',
): [string, ...string[]] {
  const script = `${before} && export NODE_OPTIONS="$0" && exec "$@"`;
  return ['/bin/sh', '-c', script, NODE_OPTIONS, ...command];
}

/** Runs it to its end. The first `node` in its PATH is the one that runs this. */
export function runPlain(cwd: string, ...command: string[]): SpawnSyncReturns<string> {
  const env = cleanEnvironment();
  const [file, ...args] = plainly(command);
  return spawnSync(file, args, {
    cwd,
    env: { ...env, PATH: [dirname(process.execPath), env.PATH].join(delimiter) },
    encoding: 'utf8',
    timeout: DEADLINE_MS,
  });
}
