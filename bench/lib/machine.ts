/**
 * Machine: what the system knows of processes, and of itself; from proc(5).
 * Processor time is summed over threads in nanoseconds (schedstat), since a short run costs only
 * some ticks of 10 ms. A thread that ended meanwhile is missed: none of these servers ends one.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { sum } from './stats.ts';

/** Processor time of these processes so far, in microseconds. */
export function cpuUsOf(pids: readonly number[]): number {
  return sum(
    pids.map((pid) => {
      const tasks = readdirSync(`/proc/${pid}/task`);
      return sum(tasks.map((task) => threadNs(pid, task) / 1_000));
    }),
  );
}

function threadNs(pid: number, task: string): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  } catch {
    return 0;
  }
}

/** Microseconds of each second. */
export const US_PER_CORE_PERCENT = 10_000;

/** Resident memory of these processes, in bytes. What they share is counted for each. */
export function rssBytesOf(pids: readonly number[]): number {
  return sum(
    pids.map((pid) => {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) * 1_024;
    }),
  );
}

function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return 0;
  }
}

/** This process and all below it. */
export function treeOf(root: number): number[] {
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger);
  const parents = new Map(pids.map((pid) => [pid, parentOf(pid)]));
  const tree = [root];
  for (const pid of tree) {
    for (const [child, parent] of parents) if (parent === pid) tree.push(child);
  }
  return tree;
}

/** Of the last minute, five and fifteen: what else the machine does. */
export const loadAverages = () =>
  readFileSync('/proc/loadavg', 'utf8').split(' ').slice(0, 3).map(Number);

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly commit: string;
}

export function describeMachine(): Machine {
  const git = ['describe', '--always', '--dirty', '--exclude', '*'];
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    commit: execFileSync('git', git, { cwd: import.meta.dirname, encoding: 'utf8' }).trim(),
  };
}
