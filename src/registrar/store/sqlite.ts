/**
 * Sqlite: the store, embedded: SQLite in a thread of its own.
 * From: the registrar's process.  To: sqliteThread.ts, by messages, answered in order.
 * Bound: its callers wait for their answers, so a handful of calls is under way at most. A thread
 * that dies of a bug takes its process with it: the supervisor starts another.
 */
import { dirname, extname, join } from 'node:path';
import { Worker as Thread } from 'node:worker_threads';
import { makeLimits } from '../../base/limits.ts';
import type { BlockedDevice, Blocking, BlockStore } from './blockRows.ts';
import type { CommandRow, OpenCommands, StoredOutcome } from './commandRows.ts';
import type { Row } from './presenceRules.ts';
import { bytesOf } from './sqliteCommands.ts';
import type { StoreLimits } from './sqliteFile.ts';
import {
  type Batch,
  type Opened,
  type OutboxEvent,
  type Store,
  StoreError,
  type StoreFault,
} from './store.ts';
import type { DueWills, WillEvent, WillFigures, WillHead } from './willRows.ts';

/** sqliteThread.ts beside this file, or sqliteThread.js where this is compiled. */
const ENTRY = join(dirname(import.meta.filename), `sqliteThread${extname(import.meta.filename)}`);

/** The first message to the thread. */
export interface ThreadData {
  readonly folder: string;
  readonly limits: StoreLimits;
}

type Method = keyof (Store & BlockStore);

export interface Call {
  readonly id: number;
  readonly method: Method;
  readonly args: readonly unknown[];
}

export interface ThreadAnswer {
  readonly id: number;
  readonly result?: unknown;
  readonly fault?: StoreFault;
  readonly sentence?: string;
  /** Of the store's log, then. */
  readonly walBytes: number;
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: StoreError) => void;
}

export class Sqlite implements Store, BlockStore {
  readonly #thread: Thread;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #walBytes = 0;
  #closing: Promise<void> | undefined;

  /** Nothing is touched before `open`. */
  constructor(folder: string, limits: StoreLimits = makeLimits()) {
    const { storeWalBytesMax, storeReserveBytes, willsBytesMax } = limits;
    const bounds = { storeWalBytesMax, storeReserveBytes, willsBytesMax };
    const workerData: ThreadData = { folder, limits: bounds };
    this.#thread = new Thread(ENTRY, { workerData });
    this.#thread.on('message', (answer: ThreadAnswer) => this.#onAnswer(answer));
  }

  /** Bytes of the log beside the file, as of the last answer. */
  get walBytes(): number {
    return this.#walBytes;
  }

  #onAnswer({ id, result, fault, sentence = '', walBytes }: ThreadAnswer): void {
    this.#walBytes = walBytes;
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (fault === undefined) waiting?.resolve(result);
    else waiting?.reject(new StoreError(fault, sentence));
  }

  #call<T>(method: Method, ...args: readonly unknown[]): Promise<T> {
    this.#lastId += 1;
    const call: Call = { id: this.#lastId, method, args };
    return new Promise((resolve, reject) => {
      this.#waiting.set(call.id, { resolve: resolve as Waiting['resolve'], reject });
      this.#thread.postMessage(call);
    });
  }

  open(node: string, now: number): Promise<Opened> {
    return this.#call('open', node, now);
  }

  read(devices: readonly string[]): Promise<Row[]> {
    return this.#call('read', devices);
  }

  online(acceptor: string, after: string, limit: number): Promise<Row[]> {
    return this.#call('online', acceptor, after, limit);
  }

  acceptors(): Promise<string[]> {
    return this.#call('acceptors');
  }

  page(after: string, limit: number): Promise<Row[]> {
    return this.#call('page', after, limit);
  }

  outbox(after: number, limit: number): Promise<OutboxEvent[]> {
    return this.#call('outbox', after, limit);
  }

  write(batch: Batch): Promise<number> {
    return this.#call('write', batch);
  }

  block(row: BlockedDevice, max: number): Promise<Blocking> {
    return this.#call('block', row, max);
  }

  unblock(device: string): Promise<BlockedDevice | undefined> {
    return this.#call('unblock', device);
  }

  blocked(after: string, limit: number): Promise<BlockedDevice[]> {
    return this.#call('blocked', after, limit);
  }

  compact(): Promise<number> {
    return this.#call('compact');
  }

  forget(ageMs: number, limit: number): Promise<{ forgotten: number; floor: number }> {
    return this.#call('forget', ageMs, limit);
  }

  openCommands(): Promise<OpenCommands> {
    return this.#call('openCommands');
  }

  async findCommands(keys: readonly string[]): Promise<CommandRow[]> {
    return withBuffers(await this.#call<CommandRow[]>('findCommands', keys));
  }

  async waitingCommands(
    of: readonly { device: string; after: number; limit: number }[],
  ): Promise<CommandRow[]> {
    return withBuffers(await this.#call<CommandRow[]>('waitingCommands', of));
  }

  async dueCommands(now: number, resultMs: number, limit: number): Promise<CommandRow[]> {
    return withBuffers(await this.#call<CommandRow[]>('dueCommands', now, resultMs, limit));
  }

  async outcomes(after: number, limit: number): Promise<StoredOutcome[]> {
    return withBuffers(await this.#call<StoredOutcome[]>('outcomes', after, limit));
  }

  willFigures(): Promise<WillFigures> {
    return this.#call('willFigures');
  }

  readWills(devices: readonly string[]): Promise<WillHead[]> {
    return this.#call('readWills', devices);
  }

  dueWills(limit: number): Promise<DueWills> {
    return this.#call('dueWills', limit);
  }

  async willOutbox(after: number, limit: number): Promise<WillEvent[]> {
    return withBuffers(await this.#call<WillEvent[]>('willOutbox', after, limit));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#call('close');
    await this.#thread.terminate();
  }
}

/** A Buffer arrives from the thread as plain bytes. */
function withBuffers<T extends { readonly payload: Buffer }>(rows: readonly T[]): T[] {
  return rows.map((row) => ({ ...row, payload: bytesOf(row.payload) }));
}
