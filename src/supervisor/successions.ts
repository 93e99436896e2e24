/**
 * Successions: which acceptor's links have moved to which other one.
 * From: reload.ts, before a successor starts; each end.  To: the registrar, by nodeMessage.ts.
 * Bound: as long as the acceptor at the end of a chain lives: one more for each acceptor and
 * reload.
 */
import type { Succession } from '../node/ipc.ts';

/** Those whose chain ends at one that lives, in their order. */
export function livingSuccessions(
  successions: readonly Succession[],
  isAlive: (incarnation: string) => boolean,
): Succession[] {
  const nextOf = new Map(successions.map(({ of, by }) => [of, by]));
  const leadsToLife = (by: string): boolean => {
    const next = nextOf.get(by);
    return isAlive(by) || (next !== undefined && leadsToLife(next));
  };
  return successions.filter(({ by }) => leadsToLife(by));
}
