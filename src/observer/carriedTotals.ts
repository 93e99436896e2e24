/**
 * CarriedTotals: what one observer has counted of processes that are no more, for the observer that
 * takes its place: totals of the node go on in a reload.
 * From: observer.ts, at its end and at its begin.  To: one file in the node's private folder.
 * Bound: one file, of the closed lists of metrics for each acceptor; it is read once. Without it,
 * after a crash, or between versions that do not know it, they begin again.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EndedTotals, NodeStatus } from './nodeStatus.ts';

const FILE = 'totals.json';

/** Metrics are no reason to fail: what cannot be written begins again. */
export function leaveTotals(folder: string, { endedTotals }: Pick<NodeStatus, 'endedTotals'>) {
  try {
    writeFileSync(join(folder, FILE), JSON.stringify(endedTotals), { mode: 0o600 });
  } catch {
    // The disk is full, or somebody has removed the folder.
  }
}

/** With what the observer before this one has left. */
export function withTotals(status: NodeStatus, folder: string): NodeStatus {
  const file = join(folder, FILE);
  try {
    const text = readFileSync(file, 'utf8');
    rmSync(file);
    status.carry(JSON.parse(text) as EndedTotals);
  } catch {
    // Nobody has left any.
  }
  return status;
}
