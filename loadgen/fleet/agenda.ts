/**
 * Agenda: what is due later, soonest first, for all devices of a worker: a heap in typed arrays.
 * From: fleet.ts and load.ts (keepalives, reconnects, deadlines, think times, faults).
 * To: pacer.ts, whose one timer serves them all.
 * Bound: a few entries per device; grows by doubling. Entries are never searched or removed: an
 * entry whose `stamp` is no longer its device's is out of date, and its reader skips it.
 */

export interface Due {
  kind: number;
  device: number;
  stamp: number;
}

export class Agenda {
  #times = new Float64Array(1_024);
  #entries = new Int32Array(3 * 1_024);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** When the first entry is due, or Infinity. */
  get nextMs(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#times[0] as number);
  }

  add(timeMs: number, kind: number, device: number, stamp: number): void {
    if (this.#size === this.#times.length) this.#grow();
    let at = this.#size;
    this.#size += 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((this.#times[parent] as number) <= timeMs) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#put(at, timeMs, kind, device, stamp);
  }

  /** Take the first entry into `due`. The agenda must not be empty. */
  take(due: Due): void {
    due.kind = this.#entries[0] as number;
    due.device = this.#entries[1] as number;
    due.stamp = this.#entries[2] as number;
    this.#size -= 1;
    const last = this.#size;
    if (last > 0) this.#sink(last);
  }

  /** Put the entry at `from`, just cut off the end, back in from the top. */
  #sink(from: number): void {
    const times = this.#times;
    const timeMs = times[from] as number;
    const kind = this.#entries[3 * from] as number;
    const device = this.#entries[3 * from + 1] as number;
    const stamp = this.#entries[3 * from + 2] as number;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#size) break;
      const right = child + 1;
      if (right < this.#size && (times[right] as number) < (times[child] as number)) child = right;
      if ((times[child] as number) >= timeMs) break;
      this.#move(child, at);
      at = child;
    }
    this.#put(at, timeMs, kind, device, stamp);
  }

  #move(from: number, to: number): void {
    this.#times[to] = this.#times[from] as number;
    this.#entries.copyWithin(3 * to, 3 * from, 3 * from + 3);
  }

  #put(at: number, timeMs: number, kind: number, device: number, stamp: number): void {
    this.#times[at] = timeMs;
    this.#entries[3 * at] = kind;
    this.#entries[3 * at + 1] = device;
    this.#entries[3 * at + 2] = stamp;
  }

  #grow(): void {
    const times = new Float64Array(2 * this.#times.length);
    times.set(this.#times);
    this.#times = times;
    const entries = new Int32Array(2 * this.#entries.length);
    entries.set(this.#entries);
    this.#entries = entries;
  }
}
