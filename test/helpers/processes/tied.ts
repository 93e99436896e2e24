/**
 * Tied: a child process that cannot outlive this one.
 * From: a command.  To: its pid, and a promise of its end.
 * A small shell starts the command and reads our pipe: when we end, however we end, the pipe
 * closes and the shell kills the command with SIGKILL. The shell leads a session of its own,
 * so Ctrl-C in a terminal reaches us and not it.
 * Bound: none of its own; a tied process does not keep our event loop alive.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from '../waitFor.ts';
import { cleanEnvironment } from './environment.ts';
import { signalTo } from './leash.ts';

const TIE = `
exec 3<&0
"$@" </dev/null >>"$TIED_LOG" 2>&1 3<&- &
child=$!
echo $child
exec >/dev/null 2>&1
( read -r _ <&3; trap '' TERM; kill -9 $child; sleep 0.2; rm -rf "$TIED_FOLDER" ) &
reader=$!
wait $child
code=$?
kill $reader
exit $code
`;

export interface Tied {
  /** The command's own pid, not the shell's. */
  readonly pid: number;
  hasEnded(): boolean;
  /** Sends `signal` unless it is over; resolves when its exit was seen. */
  end(signal: NodeJS.Signals): Promise<void>;
}

export interface TieOptions {
  readonly env: NodeJS.ProcessEnv;
  /** File that collects what the command prints. */
  readonly log: string;
  /** Removed when this process ends while the command still runs. */
  readonly folder: string;
}

/** Starts `command`, its life tied to ours. Rejects if the shell ends before it tells the pid. */
export async function tie(command: readonly string[], options: TieOptions): Promise<Tied> {
  const shell = spawn('/bin/sh', ['-c', TIE, 'tied', ...command], {
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...options.env, TIED_LOG: options.log, TIED_FOLDER: options.folder },
  });
  let isOver = false;
  const ended = once(shell, 'exit').then(() => {
    isOver = true;
  });
  const line = await Promise.race([
    once(shell.stdout, 'data').then(([chunk]) => String(chunk)),
    ended.then(() => ''),
  ]);
  const pid = Number.parseInt(line, 10);
  if (!(pid > 0)) throw new Error(`could not start ${command[0]}`);

  shell.unref();
  for (const stream of [shell.stdin, shell.stdout]) {
    stream.on('error', () => {});
    if ('unref' in stream && typeof stream.unref === 'function') stream.unref();
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    shell.ref();
    if (!isOver) signalTo(pid, signal);
    await ended;
  };
  return { pid, hasEnded: () => isOver, end };
}

/**
 * The same for a program that serves, until `isUp`; it logs into its folder. Rejects with what it
 * printed if it ends before; then it is gone, and its folder too.
 */
export async function tieServer(
  command: readonly string[],
  folder: string,
  isUp: () => Promise<boolean>,
): Promise<Tied> {
  const log = join(folder, 'log');
  const [program = ''] = command;
  const tied = await tie(command, { env: cleanEnvironment(), log, folder });
  try {
    await waitFor(program, () => {
      if (tied.hasEnded()) throw new Error(`${program} ended: ${readFileSync(log, 'utf8')}`);
      return isUp();
    });
  } catch (error) {
    await tied.end('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  return tied;
}
