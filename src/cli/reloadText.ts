/**
 * ReloadText: a reload in one sentence.
 * From: reloadCommand.ts and askStatus.ts.  To: a terminal.
 * Bound: pure.
 */
import { type ReloadFacts, reloadStep } from '../node/reloadFacts.ts';

const SECOND = 1_000;

export function reloadText(facts: ReloadFacts): string {
  const { phase, moved, left, drained, ms, why } = facts;
  const links = `${moved} links moved, ${left} left, ${drained} drained`;
  const seconds = `${(ms / SECOND).toFixed(1)} s`;
  if (phase === 'refused') return `refused: ${why}; ${links}, ${seconds}`;
  return `${reloadStep(facts)}: ${links}, ${seconds}`;
}
