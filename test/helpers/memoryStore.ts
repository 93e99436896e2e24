/**
 * A presence store in memory, for models and as the plain twin of the real one.
 * From: property tests.  To: the Store interface; `crash` decides what outlives a process.
 * Bound: none. Calls answer in order, each in a later turn, as a thread's would.
 */
import type { Row } from '../../src/presence/rules.ts';
import type { Batch, Opened, OutboxEvent, Store } from '../../src/presence/store.ts';

export class MemoryStore implements Store {
  readonly rows = new Map<string, Row>();
  events: OutboxEvent[] = [];
  floor = 0;
  #epoch: number | undefined;
  #start = 0;
  #node = '';

  async open(node: string, now: number): Promise<Opened> {
    this.#epoch ??= now;
    if (this.#node !== node) this.#start += 1;
    this.#node = node;
    const lastEvent = this.events.at(-1)?.id ?? 0;
    const { floor, events } = this;
    return { epoch: this.#epoch, start: this.#start, floor, lastEvent, outbox: events.length };
  }

  async read(devices: readonly string[]): Promise<Row[]> {
    return devices.flatMap((device) => this.rows.get(device) ?? []);
  }

  #sorted(after: string, limit: number, fits: (row: Row) => boolean): Row[] {
    const rows = [...this.rows.values()].filter((row) => row.device > after && fits(row));
    return rows.sort((a, b) => (a.device < b.device ? -1 : 1)).slice(0, limit);
  }

  async online(acceptor: string, after: string, limit: number): Promise<Row[]> {
    return this.#sorted(after, limit, (row) => row.online && row.acceptor === acceptor);
  }

  async acceptors(): Promise<string[]> {
    const online = [...this.rows.values()].filter((row) => row.online);
    return [...new Set(online.map(({ acceptor }) => acceptor))];
  }

  async page(after: string, limit: number): Promise<Row[]> {
    return this.#sorted(after, limit, () => true);
  }

  async outbox(after: number, limit: number): Promise<OutboxEvent[]> {
    return this.events.filter(({ id }) => id > after).slice(0, limit);
  }

  async write({ rows, events, settledTo }: Batch): Promise<number> {
    for (const row of rows) this.rows.set(row.device, row);
    this.events.push(...events);
    this.events = this.events.filter(({ id }) => id > settledTo);
    return this.events.length;
  }

  async compact(): Promise<number> {
    const newest = new Map(this.events.map((event) => [event.device, event.id]));
    this.events = this.events.filter(({ device, id }) => newest.get(device) === id);
    return this.events.length;
  }

  async forget(before: number, limit: number): Promise<{ forgotten: number; floor: number }> {
    const stale = [...this.rows.values()]
      .filter((row) => !row.online && row.at < before)
      .sort((a, b) => a.at - b.at)
      .slice(0, limit);
    for (const { device, seq } of stale) {
      this.rows.delete(device);
      this.floor = Math.max(this.floor, seq);
    }
    return { forgotten: stale.length, floor: this.floor };
  }

  async close(): Promise<void> {}
}
