/**
 * Successions: which acceptor's links have moved to which other ones.
 * From: reload.ts, before the first of them can move; each end.
 * To: the registrar, by nodeMessage.ts.
 * Bound: as long as an acceptor at the end of a chain lives: one more for each acceptor and reload,
 * and for each pair of one that stays and one that does not.
 */
import type { Succession } from '../node/ipc.ts';

/** Those with a chain that ends at one that lives, in their order. */
export function livingSuccessions(
  successions: readonly Succession[],
  isAlive: (incarnation: string) => boolean,
): Succession[] {
  const next = Map.groupBy(successions, ({ of }) => of);
  const leads = new Map<string, boolean>();
  const leadsToLife = (by: string): boolean => {
    const known = leads.get(by);
    if (known !== undefined) return known;
    const isSo = isAlive(by) || (next.get(by) ?? []).some((one) => leadsToLife(one.by));
    leads.set(by, isSo);
    return isSo;
  };
  return successions.filter(({ by }) => leadsToLife(by));
}
