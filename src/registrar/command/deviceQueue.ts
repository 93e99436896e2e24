/**
 * DeviceQueue: the kept commands of one device: which its link has, and which may follow. Pure.
 * From: deviceQueues.ts.  To: the next rows to send, in order.
 * Bound: one window of `commandWindowMax` at a time; the next begins when all of it is answered, so
 * a command that may come to a device again is among the last KEYS it has seen. A device
 * remembers so many keys, and acts upon none of them twice. What is on its way is known here by id
 * and key; its payload is the store's, and is read again when it has to be sent again.
 */
import type { CommandRow } from '../store/commandRows.ts';

/** Keys that a device remembers: part of the protocol. */
export const KEYS = 16;

/** One of the window. */
interface Sent {
  readonly id: number;
  /** How often it was sent on this link, less what its acceptor then did not send on. */
  times: number;
}

export class DeviceQueue {
  readonly device: string;
  /** Commands of it in the store, by state. */
  waiting = 0;
  taken = 0;
  /** Sent on this link, and their answer not yet on record; in order. */
  readonly #window = new Map<string, Sent>();
  /**
   * The key of the last that was sent on this link; the next one is sent as the one after it.
   * '': the next one has nothing before it.
   */
  last = '';
  /** What is to be sent next, in order, as far as it has been read. */
  ready: CommandRow[] = [];
  /**
   * How many of the first that wait may have been sent before: on an earlier link, or by an earlier
   * process. While there are any, they go one at a time, and nothing else goes.
   */
  suspects: number;
  isLoading = false;
  /** Rises when all is to be read anew: what was asked for before is not wanted any more. */
  generation = 0;
  readonly #windowMax: number;
  /** Rows and transients that the present window has had. */
  #begun = 0;
  #transients = 0;
  /** The last row that was read, of those that are to be sent on this link. */
  #readTo = 0;

  constructor(device: string, windowMax: number, suspects = 0) {
    this.device = device;
    this.#windowMax = windowMax;
    this.suspects = suspects;
  }

  get isEmpty(): boolean {
    return this.waiting === 0 && this.taken === 0;
  }

  get #max(): number {
    return this.suspects > 0 ? 1 : this.#windowMax;
  }

  /** Those of the window that are to be read and sent again. */
  get #again(): number {
    return [...this.#window.values()].filter(({ id }) => id > this.#readTo).length;
  }

  /** Rows in `ready` that were not sent on this link yet. */
  get #fresh(): number {
    return this.ready.filter(({ key }) => !this.#window.has(key)).length;
  }

  /** Waiting rows that have to be read from the store. */
  get #unread(): number {
    return this.waiting - (this.#window.size - this.#again) - this.#fresh;
  }

  /** What to read now, if anything: no more than may be sent. */
  wants(): { device: string; after: number; limit: number } | undefined {
    if (this.isLoading || this.ready.length > 0 || this.#unread <= 0) return undefined;
    const limit = Math.min(this.#unread, this.#again + Math.max(0, this.#max - this.#begun));
    return limit === 0 ? undefined : { device: this.device, after: this.#readTo, limit };
  }

  /** These were read, as `wants` asked in `generation`. */
  loaded(rows: readonly CommandRow[], generation: number): void {
    if (generation !== this.generation) return;
    this.isLoading = false;
    for (const row of rows) this.#push(row);
    if (rows.length > 0) return;
    // Nothing there: whatever was counted on is gone, and must not be asked for again.
    for (const { id } of this.#window.values()) this.#readTo = Math.max(this.#readTo, id);
    this.waiting = this.#window.size;
  }

  /** A new row. While older ones wait in the store, or it may not be sent yet, it waits there. */
  add(row: CommandRow, isLinked: boolean): void {
    const isNext = this.#unread === 0 && this.#begun + this.#fresh < this.#max;
    this.waiting += 1;
    if (isLinked && isNext && !this.isLoading) this.#push(row);
  }

  #push(row: CommandRow): void {
    this.ready.push(row);
    this.#readTo = Math.max(this.#readTo, row.id);
  }

  /** The next row that may be sent now; `sent` or not at all. */
  next(now: number): CommandRow | undefined {
    const [row] = this.ready;
    // One that is due stays until its end is on record.
    if (row === undefined || row.due <= now) return undefined;
    return this.isAgain(row) || this.#begun < this.#max ? row : undefined;
  }

  /** It was sent on this link before. */
  isAgain({ key }: CommandRow): boolean {
    return this.#window.has(key);
  }

  /** The row that `next` gave is on its way. */
  sent(): void {
    const row = this.ready.shift();
    if (row === undefined) return;
    const sent = this.#window.get(row.key);
    if (sent) sent.times += 1;
    else {
      this.#begun += 1;
      this.#window.set(row.key, { id: row.id, times: 1 });
    }
    this.last = row.key;
  }

  /**
   * The link may not have what was sent on it, or takes nothing now: all of the window is to be
   * sent again, in order, and then what follows. Until it is asked for, nothing is held here.
   */
  rewind(): void {
    this.ready = [];
    this.isLoading = false;
    this.generation += 1;
    this.last = '';
    this.#readTo = 0;
  }

  /** The acceptor did not send it on, this time. May the device have it nevertheless? */
  unsent(key: string): boolean {
    const sent = this.#window.get(key);
    if (sent) sent.times -= 1;
    return this.maySent(key);
  }

  /** May a transient go between? Counts it when it may. */
  admits(): boolean {
    if (this.suspects > 0) return false;
    if (this.#window.size === 0) return true;
    if (this.#transients >= KEYS - this.#windowMax) return false;
    this.#transients += 1;
    return true;
  }

  /** It no longer waits: that is on record. */
  left(key: string): void {
    this.waiting -= 1;
    this.ready = this.ready.filter((row) => row.key !== key);
    if (this.waiting === 0) this.suspects = 0;
    if (!this.#window.delete(key)) return;
    this.suspects = Math.max(0, this.suspects - 1);
    if (this.#window.size > 0) return;
    this.#begin();
  }

  /** The next row begins a window. */
  #begin(): void {
    this.last = '';
    this.#begun = 0;
    this.#transients = 0;
  }

  /** Its device may have it. */
  maySent(key: string): boolean {
    return this.suspects > 0 || (this.#window.get(key)?.times ?? 0) > 0;
  }

  /** The link is another one, or none. */
  unlink(): void {
    this.suspects = Math.max(this.suspects, this.#window.size);
    this.#window.clear();
    this.#begin();
    this.rewind();
  }
}
