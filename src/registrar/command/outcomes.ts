/**
 * Outcomes: published to the senders of commands; each settles the delivery of its command.
 * From: commandEffects.ts: outcomes of transient commands and refusals, each with its delivery;
 * those of kept commands, once they are recorded, or read back from the store.
 * To: answers, in order, those of kept commands by outboxReader.ts; `settledTo`, which the next
 * transaction deletes to.
 * Bound: the answers' window. Beyond it outcomes of kept commands stay in the store, and others
 * wait here with their deliveries unsettled: at most two for each of the broker's prefetch.
 *
 * The outcome of a transient command is published only once the broker has seen its delivery
 * settled: else, after a crash, the broker delivers it again and a second outcome could differ.
 */
import type { Limits } from '../../base/limits.ts';
import type { DropReason } from '../../base/metrics.ts';
import type { Trace } from '../../base/trace.ts';
import type { PublishOptions } from '../../broker/amqp.ts';
import type { Answers } from '../../broker/answers.ts';
import type { Answer } from '../../broker/replyQueues.ts';
import type { CommandStore, OpenCommands, Outcome, StoredOutcome } from '../store/commandRows.ts';
import { OutboxReader } from '../store/outboxReader.ts';

export interface OutcomesOptions {
  readonly store: Pick<CommandStore, 'outcomes'>;
  readonly answers: Pick<Answers, 'publish' | 'isFull'>;
  readonly limits: Limits;
  readonly wall: () => number;
  /** Resolves when the broker has seen all that was settled so far; rejects if that is unknown. */
  readonly seen: () => Promise<void>;
  /** The store can be trusted, as far as is known. */
  readonly mayRead: () => boolean;
  readonly trace: Trace;
  /** An outcome is dropped: its queue did not accept it. */
  readonly onDrop: (reason: DropReason) => void;
  /** Reading the store failed; `makeRoom` tries again. */
  readonly onFault: (error: unknown) => void;
}

class OutcomeAnswer implements Answer {
  readonly kind = 'outcome';
  readonly isRepeated = true;
  readonly onConfirm: () => void;
  readonly onDrop: (reason: DropReason) => void;
  readonly #outcome: Outcome;
  readonly #at: number;
  readonly #trace: Trace;

  constructor(
    outcome: Outcome,
    { wall, trace, onDrop }: Pick<OutcomesOptions, 'wall' | 'trace' | 'onDrop'>,
    onEnd: () => void,
  ) {
    const { key, type, reason } = outcome;
    this.#outcome = outcome;
    this.#at = wall();
    this.#trace = trace;
    this.onConfirm = () => {
      // tla: Commands!Confirm
      trace('Commands!Confirm', { key, type, reason });
      onEnd();
    };
    this.onDrop = (why) => {
      onDrop(why);
      onEnd();
    };
  }

  get queue(): string {
    return this.#outcome.replyTo;
  }

  get body(): Buffer {
    return this.#outcome.payload;
  }

  properties(isResend: boolean): PublishOptions {
    const { type, device, key, correlationId, status, reason, isKept, context } = this.#outcome;
    // tla: Commands!Publish, Commands!Settled
    this.#trace('Commands!Publish', { key, type, reason });
    const headers: Record<string, string | number | boolean> = { device, key };
    if (type === 'result') headers.status = status;
    if (reason !== '') headers.reason = reason;
    if (isResend) headers.resent = true;
    if (context) headers.traceparent = context.traceparent;
    if (context?.tracestate) headers.tracestate = context.tracestate;
    return {
      appId: 'owsla',
      type,
      contentType: 'application/octet-stream',
      timestamp: Math.floor(this.#at / 1_000),
      persistent: isKept,
      headers,
      ...(correlationId === '' ? {} : { correlationId }),
    };
  }
}

interface Waiting {
  readonly outcome: Outcome;
  /** Called right before it may be published: this settles its delivery. */
  readonly settle: (() => void) | undefined;
}

export class Outcomes {
  readonly #options: OutcomesOptions;
  #waiting: Waiting[] = [];
  /** Their deliveries are settled, as far as this process knows. */
  #settling: Outcome[] = [];
  /** Those of them that the broker has been asked about. */
  #asked: readonly Outcome[] | undefined;
  /**
   * By key: their channel was lost, and it is unknown whether the broker has seen the delivery
   * settled. If not, it comes again, and they are published then, not earlier: should this process
   * end in between, the next one would publish another outcome.
   */
  readonly #takenBack = new Map<string, Outcome>();
  /** Deliveries that were not settled may still come again. */
  #isAwaiting = false;
  /** Those of kept commands. */
  readonly #stored: OutboxReader<StoredOutcome, Answer>;

  constructor(options: OutcomesOptions) {
    const { store, answers, limits, mayRead, onFault } = options;
    this.#options = options;
    this.#stored = new OutboxReader({
      read: (after, limit) => store.outcomes(after, limit),
      pageMax: limits.presenceBatchMax,
      publisher: answers,
      publishing: (outcome, onEnd) => new OutcomeAnswer(outcome, options, onEnd),
      ...{ mayRead, onFault },
    });
  }

  /** All stored outcomes up to this id are at the broker. */
  settledTo(): number {
    return this.#stored.settledTo();
  }

  /** Those that wait here. */
  get size(): number {
    const unsure = this.#settling.length + (this.#asked?.length ?? 0);
    return this.#waiting.length + unsure + this.#takenBack.size;
  }

  /** What an earlier process left is published first. */
  onOpen({ lastOutcome }: OpenCommands): void {
    this.#stored.recordedTo(lastOutcome);
  }

  /** Settle a delivery, if one is given, then publish. */
  publish(outcome: Outcome, settle?: () => void): void {
    if (outcome.replyTo === '') settle?.();
    else this.#waiting.push({ outcome, settle });
    this.#flush();
  }

  #flush(): void {
    while (this.#waiting.length > 0 && !this.#options.answers.isFull()) {
      const { outcome, settle } = this.#waiting.shift() as Waiting;
      if (settle) {
        settle();
        this.#settling.push(outcome);
      } else {
        this.#send(outcome);
      }
    }
    this.#ask();
  }

  /** One question at a time, for all that was settled before it. */
  #ask(): void {
    if (this.#asked !== undefined || this.#settling.length === 0) return;
    const asked = this.#settling;
    this.#settling = [];
    this.#asked = asked;
    const onSeen = () => {
      if (this.#asked !== asked) return;
      this.#asked = undefined;
      for (const outcome of asked) this.#send(outcome);
      this.#ask();
    };
    // Not known: the channel is lost, which `takeBack` says; or it is asked again a little later.
    const onUnknown = () => {
      if (this.#asked !== asked) return;
      this.#asked = undefined;
      this.#settling = [...asked, ...this.#settling];
    };
    this.#options.seen().then(onSeen, onUnknown);
  }

  #send(outcome: Outcome): void {
    this.#options.answers.publish(new OutcomeAnswer(outcome, this.#options, () => {}));
  }

  /** The channel is lost: outcomes whose settling is unknown must not be published for now. */
  takeBack(): void {
    // tla: Commands!ChannelLost
    this.#options.trace('Commands!ChannelLost', {});
    this.#isAwaiting = true;
    const unsettled = this.#waiting.filter(({ settle }) => settle !== undefined);
    const unsure = [...(this.#asked ?? []), ...this.#settling];
    for (const outcome of [...unsure, ...unsettled.map((waiting) => waiting.outcome)]) {
      this.#takenBack.set(outcome.key, outcome);
    }
    this.#asked = undefined;
    this.#settling = [];
    this.#waiting = this.#waiting.filter(({ settle }) => settle === undefined);
  }

  /** The delivery that it concludes is of a lost channel: it will come again, unless all has. */
  hold(outcome: Outcome): void {
    this.#takenBack.set(outcome.key, outcome);
    if (!this.#isAwaiting) this.nothingComesAgain();
  }

  /** The delivery of a concluded command has come again. */
  again(key: string, settle: () => void): void {
    const outcome = this.#takenBack.get(key);
    this.#takenBack.delete(key);
    if (outcome) this.publish(outcome, settle);
    else settle();
  }

  /** All that the broker delivers again has come: the other deliveries were settled. */
  nothingComesAgain(): void {
    this.#isAwaiting = false;
    const left = [...this.#takenBack.values()];
    this.#takenBack.clear();
    for (const outcome of left) {
      // tla: Commands!NothingComesAgain
      this.#options.trace('Commands!NothingComesAgain', { key: outcome.key });
      this.publish(outcome);
    }
  }

  onCommit(outcomes: readonly StoredOutcome[]): void {
    this.#stored.onCommit(outcomes);
  }

  /** There is room: continue with what waits, and what only the store has. Never rejects. */
  makeRoom(): Promise<void> {
    this.#flush();
    return this.#stored.makeRoom();
  }
}
