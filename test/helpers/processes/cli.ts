/**
 * Cli: an `owsla` process for system tests, or any other script that writes pino lines.
 * From: arguments and variables.  To: its log lines, its stderr, and its exit, as they come.
 * Bound: it ends with the test that started it, at the latest with this process.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { cleanEnvironment } from './environment.ts';
import { after, NODE } from './plain.ts';

const CLI = join(import.meta.dirname, '../../../src/cli/cli.ts');

export type LogLine = Readonly<Record<string, unknown>> & {
  readonly msg?: string;
};

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface CliOptions {
  readonly env?: Record<string, string>;
  readonly script?: string;
  /** Run by `sh -c`, before the script takes its place: `ulimit -n 300`. */
  readonly before?: string;
  /** Leads a process group of its own, as a terminal would make it. */
  readonly isGroup?: boolean;
}

export class Cli {
  readonly process: ChildProcess;
  readonly lines: LogLine[] = [];
  readonly exited: Promise<Exit>;
  stderr = '';
  readonly #waiting = new Set<() => void>();
  #isOver = false;

  constructor(args: readonly string[], options: CliOptions = {}) {
    const { env = {}, script = CLI, before, isGroup = false } = options;
    const [file = '', ...rest] = after(before, [...NODE, script, ...args]);
    // A short path: Unix sockets lie in a folder within, which a killed supervisor leaves behind.
    const folder = mkdtempSync(join(tmpdir(), 'ot-'));
    this.process = spawn(file, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: isGroup,
      env: { ...cleanEnvironment(), TMPDIR: folder, ...env },
    });
    const { stdout, stderr } = this.process;
    if (!stdout || !stderr) throw new Error('no pipes');
    createInterface(stdout).on('line', (line) => {
      this.lines.push(parseLine(line));
      for (const look of this.#waiting) look();
    });
    stderr.on('data', (chunk) => {
      this.stderr += chunk;
    });
    this.exited = once(this.process, 'close').then(([code, signal]) => {
      this.#isOver = true;
      rmSync(folder, { recursive: true, force: true });
      for (const look of this.#waiting) look();
      return { code, signal };
    });
    const tie = tieTo(this.pid, folder);
    void this.exited.then(() => tie.kill('SIGKILL'));
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  /** The first line from the `after`th on that fits. Rejects when the process ends without it. */
  line(fits: (line: LogLine) => boolean, after = 0): Promise<LogLine> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this.lines.slice(after).find(fits);
        if (!found && !this.#isOver) return;
        this.#waiting.delete(look);
        if (found) resolve(found);
        else reject(new Error(`the process ended first: ${this.stderr}${this.#tail()}`));
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** The first line with this message. */
  said(msg: string, after = 0): Promise<LogLine> {
    return this.line((line) => line.msg === msg, after);
  }

  /** Pids of its child processes, from /proc. */
  children(): number[] {
    return childrenOf(this.pid);
  }

  /** Ends it and waits: gracefully unless it takes a second signal. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit> {
    if (!this.#isOver) this.process.kill(signal);
    return this.exited;
  }

  /** For teardown: whatever is left of it is gone afterwards. */
  async destroy(): Promise<void> {
    const children = this.children();
    await this.end('SIGKILL');
    for (const pid of children) killIfThere(pid);
  }

  /** The last lines, and the last ones that say what is wrong: the cause comes before the end. */
  #tail(): string {
    const last = this.lines.slice(-5);
    const wrong = this.lines.filter((line) => line.level === 'error' || line.level === 'fatal');
    return [...wrong.filter((line) => !last.includes(line)).slice(-5), ...last]
      .map((line) => JSON.stringify(line))
      .join('\n');
  }
}

export interface Printed {
  readonly code: number | null;
  readonly lines: readonly string[];
  /** The same in one. */
  readonly text: string;
  readonly stderr: string;
}

/** Runs a command of `owsla` to its end. */
export async function runOwsla(args: readonly string[], options?: CliOptions): Promise<Printed> {
  const cli = new Cli(args, options);
  const { code } = await cli.exited;
  const lines = cli.lines.map((line) => line.msg ?? JSON.stringify(line));
  return { code, lines, text: lines.join('\n'), stderr: cli.stderr };
}

/** A shell that reads our pipe: when we end, however we end, it closes, and `pid` is killed. */
function tieTo(pid: number, folder: string): ChildProcess {
  const command = 'read -r _; kill -9 "$0"; rm -rf "$1"';
  const tie = spawn('/bin/sh', ['-c', command, String(pid), folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  tie.unref();
  return tie;
}

function parseLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { msg: line };
  }
}

export function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => statOf(pid)?.parent === parent);
}

/** The process is there and not a zombie. */
export function isThere(pid: number): boolean {
  const stat = statOf(pid);
  return stat !== undefined && stat.state !== 'Z';
}

/** proc(5): `pid (comm) state ppid ...`; comm may hold spaces and parentheses. */
function statOf(pid: number): { state: string; parent: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state = '', parent = ''] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state, parent: Number(parent) };
  } catch {
    return undefined;
  }
}

/** What ps shows of a process; nothing of one that has ended meanwhile. */
export function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}
