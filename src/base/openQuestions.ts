/**
 * OpenQuestions: questions that were sent, until they are answered or it is too late.
 * From: whoever asks, with an id that the answer will have.  To: the same, a Promise of the answer.
 * Bound: one timer a question, which ends it in time; its users bound how many are open.
 */

interface Open<A> {
  readonly resolve: (answer: A) => void;
  readonly late: NodeJS.Timeout;
}

export class OpenQuestions<I, A> {
  readonly #open = new Map<I, Open<A>>();

  /** Resolves with its answer, or with `late` after `ms`. Never rejects. */
  ask(id: I, ms: number, late: A): Promise<A> {
    const { promise, resolve } = Promise.withResolvers<A>();
    this.#open.set(id, { resolve, late: setTimeout(() => this.settle(id, late), ms) });
    return promise;
  }

  has(id: I): boolean {
    return this.#open.has(id);
  }

  /** Does nothing when it is not open any more. */
  settle(id: I, answer: A): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    this.#open.delete(id);
    clearTimeout(open.late);
    open.resolve(answer);
  }

  /** All of them have the same answer: most often, that there will be none. */
  settleAll(answer: A): void {
    for (const id of [...this.#open.keys()]) this.settle(id, answer);
  }
}
