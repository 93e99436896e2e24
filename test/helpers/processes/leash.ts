/**
 * Leash: a process group that cannot outlive this process, even when that is killed.
 * From: a spawned group leader (`detached`) and the folder that it keeps its files in, if any.
 * To: SIGKILL for the whole group, and the folder's removal.
 * A small shell waits for the end of our pipe. Bound: none; it goes with its group.
 */
import { type ChildProcess, spawn } from 'node:child_process';

/** Ties the group that `leader` leads to this process. The leash ends with the leader. */
export function leash(leader: ChildProcess, folder = ''): void {
  // `kill -9 -- -1` is beyond some shells, dash among them: the signal has to be named.
  const script = 'cat >/dev/null; kill -s KILL -- "-$1" 2>/dev/null; [ -z "$2" ] || rm -rf "$2"';
  const shell = spawn('/bin/sh', ['-c', script, 'leash', String(leader.pid), folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  shell.unref();
  shell.stdin.on('error', () => {});
  if ('unref' in shell.stdin && typeof shell.stdin.unref === 'function') shell.stdin.unref();
  leader.once('exit', () => shell.stdin.end());
}

/**
 * Signals a process, or a group by its negated id. One that has ended, and whose end was not heard
 * of yet, needs none.
 */
export function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Removes a folder when this process has ended, however it ends. */
export function leashFolder(folder: string): void {
  const script = 'cat >/dev/null; rm -rf "$1"';
  const shell = spawn('/bin/sh', ['-c', script, 'leash', folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  shell.unref();
  shell.stdin.on('error', () => {});
  if ('unref' in shell.stdin && typeof shell.stdin.unref === 'function') shell.stdin.unref();
}
