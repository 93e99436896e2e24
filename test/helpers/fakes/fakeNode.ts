/** A node of the real supervisor over fake children (fakeChild.ts), for tests of its decisions. */
import { join } from 'node:path';
import type { Test } from 'tap';
import { Cli, type LogLine } from '../processes/cli.ts';
import type { Deed } from './fakeChild.ts';

const script = join(import.meta.dirname, 'superviseFake.ts');

/** Starts it; `deeds` says which child does what, by role or index; '*' is all others. */
export function startFake(
  t: Test,
  acceptors: number,
  deeds: Record<string, Deed> = {},
  limits: readonly string[] = [],
  more: Readonly<Record<string, string>> = {},
): Cli {
  const env = { FAKE_CHILD: JSON.stringify(deeds), ...more };
  const quick = ['heartbeatChildMs=100', 'restartWindowMs=30s', ...limits];
  const cli = new Cli([String(acceptors), ...quick], { env, script });
  t.teardown(() => cli.destroy());
  return cli;
}

/** Fits the lines about one child. */
export const isChild =
  (child: string, msg: string) =>
  (line: LogLine): boolean =>
    line.msg === msg && line.child === child;

/** The pid of a child that is ready, in the first such line from the `after`th on. */
export async function readyPid(cli: Cli, child: string, after = 0): Promise<number> {
  return Number((await cli.line(isChild(child, 'child ready'), after)).childPid);
}
