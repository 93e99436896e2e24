/**
 * OutboxReader: an outbox of the store to the broker, in order; what is confirmed may leave it.
 * From: events (of presence, of wills, outcomes of commands) as they were recorded, or as they are
 * read back from the store.
 * To: the publisher; and `settledTo`, which the next transaction deletes to.
 * Bound: the publisher's window. While it is full events stay in the store only, and are read from
 * there when it has room.
 */
export interface OutboxReaderOptions<E, P> {
  /** Events behind an id, by id, at most so many. */
  readonly read: (after: number, limit: number) => Promise<E[]>;
  readonly pageMax: number;
  readonly publisher: { publish(publishing: P): void; isFull(): boolean };
  /** What the publisher takes of it; both end its wait. */
  readonly publishing: (event: E, onConfirm: () => void, onDrop: () => void) => P;
  readonly onPublish?: (event: E) => void;
  readonly onConfirm?: (event: E) => void;
  /** The store can be trusted, as far as is known. */
  readonly mayRead: () => boolean;
  /** Reading the outbox failed; `makeRoom` tries again. */
  readonly onFault: (error: unknown) => void;
}

export class OutboxReader<E extends { readonly id: number }, P> {
  readonly #options: OutboxReaderOptions<E, P>;
  /** Events handed to the publisher, by id; in order, as a Set keeps it. */
  readonly #unconfirmed = new Set<number>();
  /** All up to here have been handed to the publisher, or are in no outbox any more. */
  #published = 0;
  /** The last event that is recorded. */
  #recorded = 0;
  #isReading = false;

  constructor(options: OutboxReaderOptions<E, P>) {
    this.#options = options;
  }

  /** All events up to this id are at the broker. */
  settledTo(): number {
    for (const oldest of this.#unconfirmed) return oldest - 1;
    return this.#published;
  }

  /** All up to this id is recorded; what only the store has is read from there. */
  recordedTo(id: number): void {
    this.#recorded = id;
    void this.makeRoom();
  }

  /** These are recorded, and here: no need to read them. */
  onCommit(events: readonly E[]): void {
    const isBehind = this.#published < this.#recorded;
    this.#recorded = events.at(-1)?.id ?? this.#recorded;
    if (isBehind) return;
    for (const event of events) {
      if (this.#options.publisher.isFull()) return;
      this.#publish(event);
    }
  }

  #publish(event: E): void {
    const { publisher, publishing, onPublish } = this.#options;
    this.#published = event.id;
    this.#unconfirmed.add(event.id);
    onPublish?.(event);
    const onConfirm = () => this.#onConfirm(event);
    // A queue that is bound for it is full or failed: the others have got it.
    const onDrop = () => void this.#unconfirmed.delete(event.id);
    publisher.publish(publishing(event, onConfirm, onDrop));
  }

  #onConfirm(event: E): void {
    this.#options.onConfirm?.(event);
    this.#unconfirmed.delete(event.id);
  }

  /** The publisher has room: continue with events that only the store has. Never rejects. */
  async makeRoom(): Promise<void> {
    if (this.#isReading || this.#published >= this.#recorded) return;
    const { publisher, read, pageMax, mayRead } = this.#options;
    if (!mayRead()) return;
    this.#isReading = true;
    try {
      while (this.#published < this.#recorded && !publisher.isFull()) {
        // The store answers in order, so the page holds all that was recorded up to now.
        const recorded = this.#recorded;
        const page = await read(this.#published, pageMax);
        for (const event of page) {
          if (publisher.isFull()) return;
          this.#publish(event);
        }
        // Ids that are in no page are in no outbox any more.
        const isLast = page.length < pageMax;
        if (isLast) this.#published = Math.max(this.#published, recorded);
      }
    } catch (error) {
      this.#options.onFault(error);
    } finally {
      this.#isReading = false;
    }
  }
}
