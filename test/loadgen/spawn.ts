/**
 * Spawn: the load tool from a program: run the CLI as a process and read its report.
 * From: tests, benches, `make run`.  To: a child process; its report as a value.
 * Bound: the child ends by itself; `interrupt` is Ctrl-C.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Report } from '../../loadgen/report/report.ts';

export interface Spawned {
  readonly child: ChildProcess;
  interrupt(): void;
  /** Resolves when the process has ended. `report` is missing when it never got so far. */
  readonly ended: Promise<Outcome>;
}

export interface Outcome {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly report: Report | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

const CLI = fileURLToPath(new URL('../../loadgen/cli.ts', import.meta.url));

async function readReport(file: string): Promise<Report | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Report;
  } catch {
    return undefined;
  }
}

/**
 * Start `owsla-loadgen run` with these further flags, e.g. ['--target', '127.0.0.1:7000']. That the
 * tool was the bottleneck, as on a machine with other work, is the caller's to judge: the report
 * says so.
 */
export async function spawnRun(flags: readonly string[]): Promise<Spawned> {
  const folder = await mkdtemp(join(tmpdir(), 'owsla-loadgen-'));
  const file = join(folder, 'report.json');
  const run = [CLI, 'run', '--json', file, '--allow-bottleneck', ...flags];
  const child = spawn(process.execPath, run, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', async (exitCode, signal) => {
      const report = await readReport(file);
      await rm(folder, { recursive: true, force: true });
      resolve({ exitCode, signal, report, stdout, stderr });
    });
  });
  return { child, interrupt: () => void child.kill('SIGINT'), ended };
}

/** `spawnRun` to its end. */
export async function runToEnd(flags: readonly string[]): Promise<Outcome> {
  const { ended } = await spawnRun(flags);
  return await ended;
}
