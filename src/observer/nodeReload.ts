/**
 * NodeReload: somebody asks for a reload: the supervisor is told, and its word is the answer.
 * From: nodeQuestions.ts; each message about the node.  To: the supervisor, by this process.
 * Bound: REPLY_MS until it has begun. How it ends is in `status`: this process is replaced, too.
 */
import { ChannelError } from '../node/channel.ts';
import { hasReloadEnded, type ReloadFacts, reloadStep } from '../node/reloadFacts.ts';
import type { NodeStatus } from './nodeStatus.ts';

const REPLY_MS = 2_000;

export interface NodeReloadOptions {
  readonly status: Pick<NodeStatus, 'node'>;
  readonly ask: (by: string) => void;
}

export class NodeReload {
  readonly #options: NodeReloadOptions;
  readonly #waiting = new Set<(facts: ReloadFacts) => void>();

  constructor(options: NodeReloadOptions) {
    this.#options = options;
  }

  /** Resolves with the reload that has begun. Rejects with a ChannelError when none has. */
  ask(by: string): Promise<ReloadFacts> {
    const { status, ask } = this.#options;
    const before = status.node?.reload;
    if (status.node === undefined || status.node.isStopping) {
      throw new ChannelError('failed', 'the node is starting or stopping');
    }
    if (before !== undefined && !hasReloadEnded(before)) {
      const sentence = `a reload is under way already, by ${before.by}: ${reloadStep(before)}`;
      throw new ChannelError('failed', sentence);
    }
    const begun = new Promise<ReloadFacts>((resolve, reject) => {
      const onBegun = (facts: ReloadFacts) => {
        if (facts.number === before?.number) return;
        this.#waiting.delete(onBegun);
        clearTimeout(timer);
        resolve(facts);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(onBegun);
        reject(new ChannelError('failed', 'the node does not reload before it has started'));
      }, REPLY_MS);
      this.#waiting.add(onBegun);
    });
    ask(by);
    return begun;
  }

  onNode(): void {
    const facts = this.#options.status.node?.reload;
    if (facts !== undefined) for (const onBegun of this.#waiting) onBegun(facts);
  }
}
