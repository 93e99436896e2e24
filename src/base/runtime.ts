/**
 * Runtime: what has to be so before a program is loaded: a Node that is new enough, and that does
 * not open its inspector on SIGUSR1, where any user of this machine could run code in it.
 * From: cli.ts and loadgen/cli.ts, as the first thing.  To: this process, maybe after an execve.
 * Bound: no imports, and no syntax newer than Node 14, which has to be able to run this file.
 */

/** package.json says it as well. */
const NODE_MIN = [26, 5] as const;

/** EXIT.config: a retry does not help. */
const TOO_OLD_EXIT = 78;

/** Node's flag that makes SIGUSR1 do nothing. Every process of ours has it. */
export const NO_DEBUGGER = '--disable-sigusr1';

/** Whether Node `version`, such as `26.10.0`, can run Owsla. */
export function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]);
}

/**
 * True when `program` may continue. Else the exit code is set and one sentence was printed.
 * A process without NO_DEBUGGER, in its flags or in `nodeOptions`, is started again with it by
 * execve(2): the same process, and whatever a signal has opened meanwhile is closed.
 */
export function prepare(
  program: string,
  argv: readonly string[],
  nodeOptions: string | undefined,
  version: string = process.versions.node,
): boolean {
  if (!isNewEnough(version)) {
    const [major, minor] = NODE_MIN;
    process.stderr.write(
      `${program}: needs Node.js ${major}.${minor} or later, and this is ${version} (${process.execPath})\n`,
    );
    process.exitCode = TOO_OLD_EXIT;
    return false;
  }
  const given = [...process.execArgv, ...(nodeOptions || '').split(/\s+/)];
  if (given.includes(NO_DEBUGGER)) return true;
  // Not on Windows, where no signal opens the debugger.
  if (process.execve === undefined) return true;
  const { execPath, execArgv } = process;
  process.execve(execPath, [execPath, NO_DEBUGGER, ...execArgv, ...argv.slice(1)]);
  return true;
}
