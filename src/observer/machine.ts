/**
 * Machine: how much of this machine's files and memory is in use.
 * From: /proc, where there is one.  To: alarmFacts.ts.
 * Bound: two small files, read without waiting for a disk.
 */
import { readFileSync } from 'node:fs';

export interface MachineFacts {
  /** Of fs.file-max, 0 to 1; 0: not known. */
  readonly filesShare: number;
  /** Of all memory, what could not be given to a program, 0 to 1; 0: not known. */
  readonly memoryShare: number;
  /** What this node may use together, as a container's limit, in bytes; 0: no such limit. */
  readonly memoryMax: number;
}

export function lookAtMachine(read: (path: string) => string = readText): MachineFacts {
  const [used, , most] = read('/proc/sys/fs/file-nr').trim().split(/\s+/).map(Number);
  const memory = read('/proc/meminfo');
  const total = kilobytes(memory, 'MemTotal');
  const available = kilobytes(memory, 'MemAvailable');
  const limit = process.constrainedMemory();
  return {
    filesShare: used === undefined || !most ? 0 : used / most,
    memoryShare: total === 0 || available === 0 ? 0 : 1 - available / total,
    // Without a limit it is all of the memory, or a number beyond every machine.
    memoryMax: limit > 0 && limit < total * 1_024 ? limit : 0,
  };
}

function kilobytes(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0);
}

/** Empty where it cannot be read. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
