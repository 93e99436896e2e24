/**
 * Holders: which processes have a link, or had it when they ended: who alone could lose it. Pure.
 * From: lines of all processes' traces (src/base/trace.ts).  To: reloadKills.ts, which judges.
 * Bound: a set for each link of the traces.
 *
 * A link belongs to whoever accepted or adopted it, until that one lets go of it: at go, when it
 * drops its copy, and when it closes it. So for some moments two have it, and either may end.
 */
import type { TraceLine } from '../../tla/trace.ts';

const TAKES: readonly string[] = ['Accept', 'Adopt'];
const LEAVES: readonly string[] = ['Go', 'Drop', 'End'];

/** By connection id: incarnations. An empty set: everybody has let go of it. */
export type Holders = ReadonlyMap<string, ReadonlySet<string>>;

export function holdersIn(lines: readonly TraceLine[]): Holders {
  const holders = new Map<string, Set<string>>();
  // Lines of one process are in order, and a link comes only after it has been offered.
  const inOrder = [...lines].sort((a, b) => a.us - b.us);
  for (const { action, process, connection } of inOrder) {
    if (typeof connection !== 'string') continue;
    const of = holders.get(connection) ?? new Set();
    holders.set(connection, of);
    if (TAKES.includes(action)) of.add(process);
    else if (LEAVES.includes(action)) of.delete(process);
  }
  return holders;
}

/** What became of a link, for people: each step with its process, and when, in ms. */
export function storyOf(lines: readonly TraceLine[], connection: string): string {
  const own = lines.filter((line) => line.connection === connection);
  const inOrder = own.sort((a, b) => a.us - b.us);
  const steps = inOrder.map(
    ({ us, process, action, reason }) =>
      `${(us / 1_000).toFixed(1)} ${process.slice(-6)} ${action}${reason ? ` ${reason}` : ''}`,
  );
  return steps.join('; ');
}

/** Why this link may not be lost; undefined: those who were killed had it, and nobody else. */
export function wronglyLost(
  holders: Holders,
  connection: string,
  killed: ReadonlySet<string>,
): string | undefined {
  const of = [...(holders.get(connection) ?? [])];
  if (of.length === 0) return 'nobody had it: it was closed';
  const others = of.filter((one) => !killed.has(one));
  return others.length === 0 ? undefined : `${others.join(', ')} had it, and was not killed`;
}
