/**
 * NodeDrain: whether an operator wants the node to take links; acceptors that begin later, or did
 * not hear it, are told again.
 * From: nodeLinks.ts, drain and resume; each report of an acceptor.  To: that acceptor.
 * Bound: a question for each report of an acceptor that is not as it should be. It lives in the
 * acceptors too: an observer that begins anew learns it from the first one that says so.
 */
import { DRAINED, type ReportMessage } from '../node/report.ts';
import type { ChildChannels } from './childChannels.ts';

export class NodeDrain {
  readonly #children: Pick<ChildChannels, 'ask'>;
  /** Undefined: nobody has said. */
  #isWanted: boolean | undefined;

  constructor(children: Pick<ChildChannels, 'ask'>) {
    this.#children = children;
  }

  /** False: it was so before, as far as is known. */
  want(isWanted: boolean): boolean {
    const before = this.#isWanted ?? false;
    this.#isWanted = isWanted;
    return before !== isWanted;
  }

  onReport({ index, incarnation, notReady }: ReportMessage): void {
    if (index === 0) return;
    const isDrained = notReady === DRAINED;
    if (this.#isWanted === undefined && isDrained) this.#isWanted = true;
    if (this.#isWanted === undefined || this.#isWanted === isDrained) return;
    // Another reason hides whether it is drained: it is told again, which changes nothing then.
    this.#children.ask(incarnation, this.#isWanted ? 'drain' : 'resume', null).catch(() => {});
  }
}
