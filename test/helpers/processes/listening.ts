/**
 * Listening: who listens at a TCP port, from /proc.
 * From: a port and pids.  To: how many sockets of each listen there.
 * Bound: IPv4. Throws of a process that is not there.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** proc(5): `sl local_address rem_address st ... inode`; state 0A is LISTEN. */
export function listeningOf(pid: number, port: number): number {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n');
  const listening = rows
    .map((row) => row.trim().split(/\s+/))
    .filter(([, local = '', , state]) => local.endsWith(`:${hex}`) && state === '0A');
  const sockets = new Set(listening.map((row) => `socket:[${row[9]}]`));
  const files = readdirSync(`/proc/${pid}/fd`).map((file) => linkedTo(`/proc/${pid}/fd/${file}`));
  return files.filter((name) => sockets.has(name)).length;
}

/** '': it was closed meanwhile. */
function linkedTo(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
