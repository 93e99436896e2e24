/** The registrar's way to queues that backends name, for tests: it takes whatever is told. */
import type { Answer } from '../../../src/broker/replyQueues.ts';

export class FakeAnswers {
  readonly taken: Answer[] = [];
  /** The `type` property of each, in order. */
  readonly types: (string | undefined)[] = [];
  readonly size = 0;

  isFull(): boolean {
    return false;
  }

  publish(answer: Answer): void {
    this.types.push(answer.properties(false).type);
    this.taken.push(answer);
  }
}
