/**
 * Cluster: a private RabbitMQ cluster of several nodes on loopback.
 * From: tests.  To: broker.ts, a node each, with own ports and data; they share epmd and cookie.
 * Bound: as for one private broker, and all end with this process. Each start costs seconds.
 */
import { type Broker, startBroker } from './broker.ts';

export interface Cluster {
  /** At the start all run. The first must not be stopped for good before the others. */
  readonly nodes: readonly Broker[];
  readonly urls: readonly string[];
  /** Names of the nodes that run, as `node` sees it. */
  running(node: Broker): Promise<string[]>;
  stop(): Promise<void>;
}

/** Starts a cluster of `size` nodes; resolves when a login succeeds at each. */
export async function startCluster(size = 3): Promise<Cluster> {
  const first = await startBroker();
  const nodes = [first];
  try {
    while (nodes.length < size) nodes.push(await startBroker({ beside: first }));
  } catch (error) {
    for (const node of nodes.toReversed()) await node.kill();
    throw error;
  }
  return {
    nodes,
    urls: nodes.map(({ url }) => url),
    running: async (node) => {
      const told = await node.eval('rabbit_mnesia:cluster_nodes(running).');
      return told.match(/[\w-]+@\w+/g) ?? [];
    },
    // At once: a graceful end of the last one would wait for the others.
    stop: async () => {
      for (const node of nodes.toReversed()) await node.kill();
    },
  };
}
