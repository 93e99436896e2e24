/**
 * Command: a program of any language, for tests of the examples.
 * From: a command line and variables.  To: what it printed, and its exit code.
 * Bound: it ends with the test that started it, at the latest with this process.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cleanEnvironment } from './environment.ts';
import { leash, signalTo } from './leash.ts';

export interface CommandOptions {
  readonly cwd?: string;
  /** It starts others, as a shell does: they get its signals, and end with it. */
  readonly isGroup?: boolean;
}

export class Command {
  /** Its stdout so far. */
  output = '';
  /** The exit code, or the signal that ended it. */
  readonly exit: Promise<number | string>;
  readonly #process: ChildProcess;
  readonly #isGroup: boolean;
  #isOver = false;
  readonly #looks = new Set<() => void>();

  constructor(
    [file = '', ...args]: readonly string[],
    env: Record<string, string> = {},
    { cwd, isGroup = false }: CommandOptions = {},
  ) {
    const child = spawn(file, args, {
      env: { ...cleanEnvironment(), ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd,
      detached: isGroup,
    });
    this.#process = child;
    this.#isGroup = isGroup;
    if (isGroup) leash(child);
    child.stdout.on('data', (chunk) => {
      this.output += chunk;
      for (const look of this.#looks) look();
    });
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    this.exit = once(child, 'close').then(([code, signal]) => {
      this.#isOver = true;
      process.off('exit', kill);
      for (const look of this.#looks) look();
      return code ?? signal;
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Resolves when its output fits; rejects when it ends without that. */
  prints(wanted: RegExp): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const fits = wanted.test(this.output);
        if (!fits && !this.#isOver) return;
        this.#looks.delete(look);
        if (fits) resolve();
        else reject(new Error(`it ended without printing ${wanted}: ${this.output}`));
      };
      this.#looks.add(look);
      look();
    });
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const { pid = 0 } = this.#process;
    if (!this.#isOver) signalTo(this.#isGroup ? -pid : pid, signal);
    await this.exit;
  }
}
