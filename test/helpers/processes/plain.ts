/**
 * Plain: a program run as from a shell, without what the test runner asks of every Node.
 * From: a command line.  To: what it printed, and its exit code.
 * Bound: DEADLINE_MS, then it is killed and its status is null.
 */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { delimiter, dirname } from 'node:path';
import { cleanEnvironment } from './environment.ts';

const DEADLINE_MS = 120_000;

/** Runs it to its end. The first `node` in its PATH is the one that runs this. */
export function runPlain(cwd: string, ...command: string[]): SpawnSyncReturns<string> {
  const env = cleanEnvironment();
  // Within a shell: the runner adds its own options to the environment of whatever is spawned.
  return spawnSync('/bin/sh', ['-c', 'unset NODE_OPTIONS; exec "$@"', 'sh', ...command], {
    cwd,
    env: { ...env, PATH: [dirname(process.execPath), env.PATH].join(delimiter) },
    encoding: 'utf8',
    timeout: DEADLINE_MS,
  });
}
