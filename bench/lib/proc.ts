/** What the system knows of a process: its processor time and its resident memory, from proc(5). */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

const ticksPerSecond = Number((await promisify(execFile)('getconf', ['CLK_TCK'])).stdout);

/** User and system time so far, in microseconds, to the system's tick (10 ms). */
export function cpuUsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) / ticksPerSecond) * 1e6;
}

/** Microseconds of each second. */
export const US_PER_CORE_PERCENT = 10_000;

export function rssBytesOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) * 1_024;
}

/** What else the machine does: its load averages, for whoever reads the figures. */
export const loadAverages = () => readFileSync('/proc/loadavg', 'utf8').split(' ').slice(0, 3);
