/**
 * PendingAnswers: how the messages of one link are answered, until that is due.
 * From: moduleProtocol.ts, with what its module gave for a message.  To: the same.
 * Bound: as many as messages may be under way; beyond that the oldest is of a message that was
 * dropped, and is let go of.
 */
import type { DeviceRequest } from './moduleTypes.ts';

/** An EVENT's: bytes. A REQUEST's: what makes them. */
export type PendingAnswer = Buffer | DeviceRequest['reply'];

export class PendingAnswers {
  /** Memory that they hold, in bytes. */
  bytes = 0;
  readonly #byId = new Map<number, PendingAnswer>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  add(id: number, answer: PendingAnswer): void {
    if (this.#byId.size >= this.#max) {
      for (const oldest of this.#byId.keys()) {
        this.take(oldest);
        break;
      }
    }
    this.#byId.set(id, answer);
    if (typeof answer !== 'function') this.bytes += answer.length;
  }

  /** It is due, or never will be. */
  take(id: number): PendingAnswer | undefined {
    const answer = this.#byId.get(id);
    if (answer === undefined) return undefined;
    this.#byId.delete(id);
    if (typeof answer !== 'function') this.bytes -= answer.length;
    return answer;
  }
}
