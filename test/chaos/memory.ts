/**
 * Memory: what a Node process really holds on to.
 * From: a pid.  To: its resident memory, after a full collection that it is asked for by its
 * debugger. Without one, V8 lets garbage lie for minutes, and a leak cannot be told from that.
 * Bound: waitFor's deadline for the debugger to answer.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { listeningOf } from '../helpers/processes/listening.ts';
import { waitFor } from '../helpers/waitFor.ts';

/** Environment of a process that can be asked: its debugger is open, on a free port. */
export const DEBUGGABLE = { NODE_OPTIONS: '--inspect=127.0.0.1:0' } as const;

const TOLD = /^Debugger listening on (ws:\S+)/;

/** The debugger's URL of each process that was asked before: it tells it only once. */
const urls = new Map<number, string>();

/** Resolves when process `pid` has collected. `errors` are its lines on stderr, as they come. */
export async function collectGarbage(pid: number, errors: readonly string[]): Promise<void> {
  const url = urls.get(pid) ?? (await openDebugger(pid, errors));
  urls.set(pid, url);
  const socket = new WebSocket(url);
  await once(socket, 'open');
  const answered = once(socket, 'message');
  socket.send(JSON.stringify({ id: 1, method: 'HeapProfiler.collectGarbage' }));
  await answered;
  socket.close();
}

/** Of all that were told on stderr, the one whose port `pid` listens on. */
async function openDebugger(pid: number, errors: readonly string[]): Promise<string> {
  const told = () => errors.flatMap((line) => TOLD.exec(line)?.[1] ?? []);
  const own = () => told().findLast((url) => listeningOf(pid, Number(new URL(url).port)) > 0);
  await waitFor(`the debugger of process ${pid}`, () => own() !== undefined);
  return own() as string;
}

/** Resident memory of process `pid`, in bytes. */
export function residentBytes(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kibibytes) * 1_024;
}
