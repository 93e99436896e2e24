/**
 * Outcomes: what commands' senders are told, to the broker; and the deliveries this settles.
 * From: desk.ts: outcomes of transients and refusals, each with its delivery; those of kept
 * commands, once they are on record, or read back from the store.
 * To: the publisher, in order; `settledTo`, which the next transaction deletes to.
 * Bound: the publisher's window. Beyond it outcomes of kept commands stay in the store, and others
 * wait here with their deliveries unsettled: at most two for each of the broker's prefetch.
 */
import type { Options } from 'amqplib';
import type { Publisher, Publishing } from '../broker/publisher.ts';
import type { Limits } from '../limits.ts';
import type { Trace } from '../presence/trace.ts';
import type { CommandStore, OpenCommands, Outcome, StoredOutcome } from './rows.ts';

export interface OutcomesOptions {
  readonly store: Pick<CommandStore, 'outcomes'>;
  readonly publisher: Pick<Publisher, 'publish' | 'isFull' | 'withdraw'>;
  readonly limits: Limits;
  readonly wall: () => number;
  /** The store is to be believed, as far as is known. */
  readonly mayRead: () => boolean;
  readonly trace: Trace;
  /** Reading the store failed; `makeRoom` tries again. */
  readonly onFault: (error: unknown) => void;
}

class OutcomePublishing implements Publishing {
  // What the publisher's own counters call it; nobody reads those.
  readonly kind = 'event';
  /** The default exchange. */
  readonly exchange = '';
  isTakenBack = false;
  readonly #outcome: Outcome;
  readonly #at: number;
  readonly #trace: Trace;
  readonly #onConfirm: () => void;

  constructor(outcome: Outcome, at: number, trace: Trace, onConfirm: () => void) {
    this.#outcome = outcome;
    this.#at = at;
    this.#trace = trace;
    this.#onConfirm = onConfirm;
  }

  get routingKey(): string {
    return this.#outcome.replyTo;
  }

  get body(): Buffer {
    return this.#outcome.payload;
  }

  isWanted(): boolean {
    return !this.isTakenBack;
  }

  properties(isResend: boolean): Options.Publish | undefined {
    if (this.isTakenBack) return undefined;
    const { type, device, key, correlationId, status, reason, isKept } = this.#outcome;
    // tla: Commands!Publish
    this.#trace('Commands!Publish', { key, type, reason });
    const headers: Record<string, string | number | boolean> = { device, key };
    if (type === 'result') headers.status = status;
    if (reason !== '') headers.reason = reason;
    if (isResend) headers.resent = true;
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

  onConfirm(): void {
    const { key, type, reason } = this.#outcome;
    // tla: Commands!Confirm
    this.#trace('Commands!Confirm', { key, type, reason });
    this.#onConfirm();
  }

  onNack(): 'again' {
    return 'again';
  }
}

interface Waiting {
  readonly outcome: Outcome;
  /** Called right before it is published: this settles its delivery. */
  readonly settle: (() => void) | undefined;
}

export class Outcomes {
  readonly #options: OutcomesOptions;
  #waiting: Waiting[] = [];
  /** Published behind a settled delivery, and not yet confirmed. */
  readonly #concluded = new Map<OutcomePublishing, Outcome>();
  /**
   * By key: their channel was lost, and nobody knows whether the broker has seen the delivery
   * settled. If not, it comes again, and they are told with it; and not before, for should this
   * process end, the next one would tell something else.
   */
  readonly #takenBack = new Map<string, Outcome>();
  /** Deliveries that were not settled may still come again. */
  #isAwaiting = false;
  /** Stored outcomes handed to the publisher, by id; in order, as a Set keeps it. */
  readonly #unconfirmed = new Set<number>();
  /** All up to here have been handed to the publisher. */
  #published = 0;
  /** The last one that is recorded. */
  #recorded = 0;
  #isReading = false;

  constructor(options: OutcomesOptions) {
    this.#options = options;
  }

  /** All stored outcomes up to this id are at the broker. */
  settledTo(): number {
    for (const oldest of this.#unconfirmed) return oldest - 1;
    return this.#published;
  }

  /** Those that wait here, with their deliveries. */
  get size(): number {
    return this.#waiting.length + this.#takenBack.size;
  }

  /** What an earlier process left is published first. */
  onOpen({ lastOutcome }: OpenCommands): void {
    this.#recorded = lastOutcome;
    void this.makeRoom();
  }

  /** Settle a delivery, if one is given, then tell. */
  tell(outcome: Outcome, settle?: () => void): void {
    if (outcome.replyTo === '') settle?.();
    else this.#waiting.push({ outcome, settle });
    this.#flush();
  }

  #flush(): void {
    const { publisher, wall, trace } = this.#options;
    while (this.#waiting.length > 0 && !publisher.isFull()) {
      const { outcome, settle } = this.#waiting.shift() as Waiting;
      settle?.();
      const onConfirm = () => void this.#concluded.delete(publishing);
      const publishing: OutcomePublishing = new OutcomePublishing(
        outcome,
        wall(),
        trace,
        onConfirm,
      );
      if (settle) this.#concluded.set(publishing, outcome);
      publisher.publish(publishing);
    }
  }

  /** The channel is lost: what it settled and did not see confirmed must not be told for now. */
  takeBack(): void {
    const { publisher, trace } = this.#options;
    // tla: Commands!ChannelLost
    trace('Commands!ChannelLost', {});
    this.#isAwaiting = true;
    for (const [publishing, outcome] of this.#concluded) {
      publishing.isTakenBack = true;
      publisher.withdraw(publishing);
      this.#takenBack.set(outcome.key, outcome);
    }
    this.#concluded.clear();
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ settle }) => settle === undefined);
    for (const { outcome, settle } of waiting) {
      if (settle) this.#takenBack.set(outcome.key, outcome);
    }
  }

  /** The delivery that it concludes will come again. */
  hold(outcome: Outcome): void {
    if (this.#isAwaiting) this.#takenBack.set(outcome.key, outcome);
    else this.tell(outcome);
  }

  /** The delivery of a concluded command has come again. */
  again(key: string, settle: () => void): void {
    const outcome = this.#takenBack.get(key);
    this.#takenBack.delete(key);
    if (outcome) this.tell(outcome, settle);
    else settle();
  }

  /** All that the broker gives again has come: the other deliveries were settled. */
  nothingComesAgain(): void {
    this.#isAwaiting = false;
    const left = [...this.#takenBack.values()];
    this.#takenBack.clear();
    for (const outcome of left) {
      // tla: Commands!NothingComesAgain
      this.#options.trace('Commands!NothingComesAgain', { key: outcome.key });
      this.tell(outcome);
    }
  }

  onCommit(outcomes: readonly StoredOutcome[]): void {
    const isBehind = this.#published < this.#recorded;
    this.#recorded = outcomes.at(-1)?.id ?? this.#recorded;
    if (isBehind) return;
    for (const outcome of outcomes) {
      if (this.#options.publisher.isFull()) return;
      this.#publish(outcome);
    }
  }

  #publish(outcome: StoredOutcome): void {
    const { publisher, wall, trace } = this.#options;
    const { id } = outcome;
    this.#published = id;
    this.#unconfirmed.add(id);
    const onConfirm = () => void this.#unconfirmed.delete(id);
    publisher.publish(new OutcomePublishing(outcome, wall(), trace, onConfirm));
  }

  /** The publisher has room: go on with what waits, and what only the store has. Never rejects. */
  async makeRoom(): Promise<void> {
    this.#flush();
    if (this.#isReading || this.#published >= this.#recorded) return;
    const { publisher, store, limits, mayRead, onFault } = this.#options;
    if (!mayRead()) return;
    this.#isReading = true;
    try {
      while (this.#published < this.#recorded && !publisher.isFull()) {
        const page = await store.outcomes(this.#published, limits.presenceBatchMax);
        for (const outcome of page) {
          if (publisher.isFull()) return;
          this.#publish(outcome);
        }
        // None there: whatever ids are missing have been deleted.
        if (page.length === 0) this.#published = this.#recorded;
      }
    } catch (error) {
      onFault(error);
    } finally {
      this.#isReading = false;
    }
  }
}
