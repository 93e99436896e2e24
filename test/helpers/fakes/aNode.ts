/** What the supervisor says of a node whose processes all run: acceptor 2 is incarnation `2`. */
import type { ChildFacts, NodeMessage } from '../../../src/node/ipc.ts';

export function aNode(acceptors: number): { readonly node: NodeMessage } {
  const children: ChildFacts[] = Array.from({ length: acceptors }, (_, at) => ({
    ...{ role: 'acceptor', index: at + 1, state: 'ready', incarnation: `${at + 1}` },
  }));
  children.push({ role: 'registrar', index: 0, state: 'ready', incarnation: 'registrar' });
  const restarts = { acceptor: 0, registrar: 0, observer: 0 };
  return {
    node: { type: 'node', isStopping: false, pid: 1, startedAt: 0, children, restarts },
  };
}
