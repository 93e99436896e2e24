/**
 * Plain: programs run as from a shell: how Node is started, and what is done before; or one of
 * them, run to its end.
 * From: a command line.  To: one that a spawn can take; or what it printed, and its exit code.
 * Bound: DEADLINE_MS for one that is run to its end; then it is killed, and its status is null.
 */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { delimiter, dirname } from 'node:path';
import { cleanEnvironment } from './environment.ts';

const DEADLINE_MS = 120_000;

/** Node by the flag that `npm run owsla` gives: else each process would begin twice, by execve. */
export const NODE: readonly string[] = [process.execPath, '--disable-sigusr1'];

/** The command line that becomes this one once a shell has run `before`, as in `ulimit -n 300`. */
export function after(before: string | undefined, command: readonly string[]): readonly string[] {
  if (before === undefined) return command;
  return ['/bin/sh', '-c', `${before} && exec "$@"`, 'sh', ...command];
}

/** Runs it to its end. The first `node` in its PATH is the one that runs this. */
export function runPlain(cwd: string, ...command: string[]): SpawnSyncReturns<string> {
  const env = cleanEnvironment();
  const [file = '', ...args] = command;
  return spawnSync(file, args, {
    cwd,
    env: { ...env, PATH: [dirname(process.execPath), env.PATH].join(delimiter) },
    encoding: 'utf8',
    timeout: DEADLINE_MS,
  });
}
