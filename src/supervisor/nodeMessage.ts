/**
 * NodeMessage: the node as observer and registrar are told of it.
 * From: supervisor.ts, with children.ts and reload.ts.  To: their channels.
 * Bound: an entry for each process, and for each acceptor that was replaced and not forgotten.
 */
import type { ChildRole, NodeMessage } from '../node/ipc.ts';
import type { Children } from './children.ts';
import { factsOf } from './childSlot.ts';
import type { Reload } from './reload.ts';

/** `startedAt`: the supervisor's, in ms since 1970. */
export function nodeMessageOf(
  children: Children,
  { facts, successions }: Pick<Reload, 'facts' | 'successions'>,
  { isStopping, startedAt }: Pick<NodeMessage, 'isStopping' | 'startedAt'>,
): NodeMessage {
  const slots = children.told();
  const restartsOf = (wanted: ChildRole) =>
    slots.reduce((sum, { role, restarts }) => sum + (role === wanted ? restarts : 0), 0);
  return {
    type: 'node',
    isStopping,
    pid: process.pid,
    startedAt,
    children: slots.map((slot) =>
      children.beside.has(slot) ? { ...factsOf(slot), isBeside: true } : factsOf(slot),
    ),
    restarts: {
      observer: restartsOf('observer'),
      registrar: restartsOf('registrar'),
      acceptor: restartsOf('acceptor'),
    },
    successions,
    ...(facts === undefined ? {} : { reload: facts }),
  };
}
