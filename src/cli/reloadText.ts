/**
 * ReloadText: a reload in one sentence: how far it is, or how it ended.
 * From: reloadCommand.ts, askStatus.ts and topScreen.ts.  To: a terminal.
 * Bound: pure.
 */
import { hasReloadEnded, type ReloadFacts, reloadStep } from '../node/reloadFacts.ts';
import { ageOf } from './statusWords.ts';

const SECOND = 1_000;

export function reloadText(facts: ReloadFacts): string {
  const { phase, why } = facts;
  const figures = figuresOf(facts);
  return phase === 'refused' ? `refused: ${why}; ${figures}` : `${stepOf(facts)}: ${figures}`;
}

/** Of a node whose last reload may be of long ago. */
export function lastReloadText(facts: ReloadFacts): string {
  const { startedAt, ms, by } = facts;
  if (!hasReloadEnded(facts)) return `${reloadText(facts)}, by ${by}`;
  const ago = ageOf(Math.max(0, Date.now() - startedAt - ms));
  return `${reloadText(facts)}; ${ago} ago, by ${by}`;
}

function figuresOf({ moved, left, drained, ms }: ReloadFacts): string {
  return `${moved} links moved, ${left} left, ${drained} drained, ${(ms / SECOND).toFixed(1)} s`;
}

/** Such as `acceptor 2 of 6 moving`; one too many is none of them. */
function stepOf(facts: ReloadFacts): string {
  const { phase, acceptor, acceptors = 0, step } = facts;
  const isOfMany = phase === 'acceptors' && acceptor !== undefined && acceptor <= acceptors;
  return isOfMany ? `acceptor ${acceptor} of ${acceptors} ${step}` : reloadStep(facts);
}
