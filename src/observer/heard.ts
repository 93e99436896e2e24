/**
 * Heard: waits until every process has told a new observer how it is.
 * From: observer.ts, with each report.  To: the same, before it answers in the place of another.
 * Bound: HEARD_MS: then it answers with what it knows.
 */
import { within } from '../node/drain.ts';
import type { NodeMessage } from '../node/ipc.ts';
import type { NodeStatus } from './nodeStatus.ts';

const HEARD_MS = 2_000;

export class Heard {
  readonly #status: NodeStatus;
  #onAll: (() => void) | undefined;

  /** `node`: the supervisor's word until now. */
  constructor(status: NodeStatus, node: NodeMessage | undefined) {
    this.#status = status;
    if (node) status.onNode(node, performance.now());
  }

  onReport(): void {
    if (this.#onAll !== undefined && this.#status.hasHeardAll) this.#onAll();
  }

  all(): Promise<void> {
    if (this.#status.hasHeardAll) return Promise.resolve();
    const all = new Promise<void>((resolve) => {
      this.#onAll = resolve;
    });
    return within(HEARD_MS, all);
  }
}
