/**
 * BatchLoop: when the registrar works: batch after batch, at a pace, and again after a fault.
 * From: streams, ticks and commands, which wake it; all code that gets an error of the store.
 * To: `batch`, one at a time.
 * Bound: a batch begins `presenceBatchMs` after the last, unless a command waits for it. A store
 * that fails is retried every `presenceRetryMs`; a corrupt one, once it was open, never again.
 *
 *   idle --wake--> working --nothing left--> idle
 *                     |
 *                     '--fault--> faulty --presenceRetryMs, wake--> working
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Limits } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { StoreError } from './store/store.ts';

export interface BatchLoopOptions {
  readonly limits: Pick<Limits, 'presenceBatchMs' | 'presenceRetryMs'>;
  readonly log: Pick<Logger, 'info' | 'error'>;
  /** ms of a monotonic clock. */
  readonly now: () => number;
  /** Do one; false: nothing is left to do. If it rejects with a StoreError, nothing is lost. */
  readonly batch: () => Promise<boolean>;
  /** No command waits for the next batch: more changes may still join it. */
  readonly isPatient: () => boolean;
  /** The store has been open in this process. */
  readonly wasOpen: () => boolean;
  /** A batch was done, or has failed: there is room for more. */
  readonly onRoom: () => void;
  /** This process cannot continue; a new one may. */
  readonly onFatal: (error: unknown) => void;
}

/** How often `settle` checks whether anything is left. */
const LOOK_MS = 10;

export class BatchLoop {
  readonly #options: BatchLoopOptions;
  #isWorking = false;
  #next: NodeJS.Immediate | undefined;
  #batchAt = Number.NEGATIVE_INFINITY;
  /** Ends a rest between two batches. */
  #hurry: (() => void) | undefined;
  #fault: StoreError | undefined;
  #retryAt = 0;

  constructor(options: BatchLoopOptions) {
    this.#options = options;
  }

  /** Why nothing is recorded. */
  get fault(): StoreError | undefined {
    return this.#fault;
  }

  /** No fault, or one that is to be tried again by now. */
  mayTry(): boolean {
    return this.#fault === undefined || this.#options.now() >= this.#retryAt;
  }

  /** There may be something to do. */
  wake(): void {
    if (!this.#isWorking && this.mayTry()) void this.work().catch(this.#options.onFatal);
  }

  /** A command waits: one transaction for all of this turn, without a pause before it. */
  wakeSoon(): void {
    this.#next ??= setImmediate(() => {
      this.#next = undefined;
      this.#hurry?.();
      this.wake();
    });
  }

  /** Batch after batch, until nothing is left to do. Never call it while it works. */
  async work(): Promise<void> {
    const { log, onRoom } = this.#options;
    this.#isWorking = true;
    try {
      // A reader may get an error while a batch succeeds: that error remains.
      while (this.mayTry() && (await this.#batch())) onRoom();
      if (this.#fault && this.mayTry()) {
        log.info('presence store works again');
        this.#fault = undefined;
      }
    } catch (error) {
      this.failed(error);
    } finally {
      this.#isWorking = false;
    }
    onRoom();
  }

  async #batch(): Promise<boolean> {
    const { limits, now, isPatient, batch } = this.#options;
    const restMs = this.#batchAt + limits.presenceBatchMs - now();
    if (restMs > 0 && isPatient()) await this.#rest(restMs);
    this.#batchAt = now();
    return batch();
  }

  /** Changes that come one by one share a sync to disk; a command ends the wait for others. */
  async #rest(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hurry = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
    this.#hurry = undefined;
  }

  /** The store failed, in any call. Any other error is thrown again. */
  failed(error: unknown): void {
    if (!(error instanceof StoreError)) throw error;
    const { limits, log, now, wasOpen, onFatal } = this.#options;
    const { fault, message: why } = error;
    if (this.#fault?.fault !== fault) log.error({ fault, why }, 'presence store failed');
    this.#fault = error;
    // The next process creates it again, with a new epoch, and all acceptors hand over to it.
    if (fault === 'removed') onFatal(error);
    // What a corrupt file says of other devices is no better.
    const isOver = fault === 'corrupt' && wasOpen();
    this.#retryAt = now() + (isOver ? Number.POSITIVE_INFINITY : limits.presenceRetryMs);
  }

  /** Work on while `isBusy` says so; never longer than `ms`, and not after a fault. */
  async settle(isBusy: () => boolean, ms: number): Promise<void> {
    const { now } = this.#options;
    const end = now() + ms;
    do {
      this.wake();
      await pause(LOOK_MS);
    } while (this.#fault === undefined && (this.#isWorking || isBusy()) && now() < end);
  }
}
