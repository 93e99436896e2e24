/**
 * A presence store in memory, for models and as the plain twin of the real one.
 * From: property tests.  To: the Store interface; `crash` decides what outlives a process.
 * Bound: none. Calls answer in order, each in a later turn, as a thread's would.
 */
import {
  type CommandRow,
  type CommandWrites,
  isOver,
  type OpenCommands,
  type StoredOutcome,
} from '../../../src/registrar/store/commandRows.ts';
import type { Row } from '../../../src/registrar/store/presenceRules.ts';
import type { Batch, Opened, OutboxEvent, Store } from '../../../src/registrar/store/store.ts';
import type {
  DueWills,
  StoredWill,
  WillEvent,
  WillFigures,
  WillHead,
  WillWrites,
} from '../../../src/registrar/store/willRows.ts';

interface MemoryWill extends StoredWill {
  readonly due?: number;
  readonly reason?: WillEvent['reason'];
  readonly at?: number;
}

/** As the real one counts. */
function sizeOf({ topic, payload }: { topic: string; payload: Buffer }): number {
  return topic.length + payload.length + 256;
}

export class MemoryStore implements Store {
  readonly rows = new Map<string, Row>();
  events: OutboxEvent[] = [];
  floor = 0;
  /** By link; `due` in lived time once that has ended. */
  readonly wills = new Map<string, MemoryWill>();
  willEvents: WillEvent[] = [];
  lastWillEvent = 0;
  readonly commands = new Map<number, CommandRow>();
  toTell: StoredOutcome[] = [];
  /** When each row was written, in lived time. */
  readonly #rowLived = new Map<string, number>();
  readonly #commandLived = new Map<number, number>();
  readonly #livedMs: () => number;
  #epoch: number | undefined;
  #start = 0;
  #node = '';

  constructor(livedMs: () => number = () => performance.now()) {
    this.#livedMs = livedMs;
  }

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

  async write({ rows, events, settledTo, commands, wills }: Batch): Promise<number> {
    if (commands) this.#writeCommands(commands);
    if (wills) this.#writeWills(wills);
    for (const row of rows) {
      this.rows.set(row.device, row);
      this.#rowLived.set(row.device, this.#livedMs());
    }
    this.events.push(...events);
    this.events = this.events.filter(({ id }) => id > settledTo);
    return this.events.length;
  }

  #writeWills({ changes, settledTo }: WillWrites): void {
    this.willEvents = this.willEvents.filter(({ id }) => id > settledTo);
    for (const change of changes) {
      if (change.what === 'keep') {
        this.wills.set(change.will.connection, change.will);
        continue;
      }
      const will = this.wills.get(change.connection);
      if (change.what !== 'wait') this.wills.delete(change.connection);
      if (change.what === 'publish') this.lastWillEvent = change.id;
      if (will === undefined || change.what === 'drop') continue;
      const { reason = change.reason, at = change.at, device, connection, topic, payload } = will;
      if (change.what === 'publish') {
        this.willEvents.push({ id: change.id, device, connection, topic, payload, reason, at });
      } else {
        const { delayMs } = change;
        const due = this.#livedMs() + delayMs;
        this.wills.set(connection, { ...will, reason, at, delayMs, due });
      }
    }
  }

  async willFigures(): Promise<WillFigures> {
    const wills = [...this.wills.values()];
    const sizes = [...wills, ...this.willEvents].map(sizeOf);
    return {
      kept: wills.length,
      waiting: wills.filter(({ due }) => due !== undefined).length,
      outbox: this.willEvents.length,
      lastEvent: this.lastWillEvent,
      bytes: sizes.reduce((sum, size) => sum + size, 0),
      full: 0,
    };
  }

  async readWills(devices: readonly string[]): Promise<WillHead[]> {
    const wills = [...this.wills.values()].filter(({ device }) => devices.includes(device));
    return wills.map(({ topic: _, payload: __, due, reason: ___, at: ____, ...head }) => {
      return { ...head, isWaiting: due !== undefined };
    });
  }

  async dueWills(limit: number): Promise<DueWills> {
    const now = this.#livedMs();
    const waiting = [...this.wills.values()]
      .flatMap(({ device, connection, due }) =>
        due === undefined ? [] : { device, connection, due },
      )
      .sort((a, b) => a.due - b.due);
    const due = waiting.filter((will) => will.due <= now).slice(0, limit);
    const next = waiting.find((will) => will.due > now);
    const named = due.map(({ device, connection }) => ({ device, connection }));
    return next ? { due: named, nextMs: next.due - now } : { due: named };
  }

  async willOutbox(after: number, limit: number): Promise<WillEvent[]> {
    return this.willEvents.filter(({ id }) => id > after).slice(0, limit);
  }

  async compact(): Promise<number> {
    const newest = new Map(this.events.map((event) => [event.device, event.id]));
    this.events = this.events.filter(({ device, id }) => newest.get(device) === id);
    return this.events.length;
  }

  async forget(ageMs: number, limit: number): Promise<{ forgotten: number; floor: number }> {
    const before = this.#livedMs() - ageMs;
    const livedOf = ({ device }: Row) => this.#rowLived.get(device) ?? 0;
    const stale = [...this.rows.values()]
      .filter((row) => !row.online && livedOf(row) < before)
      .sort((a, b) => livedOf(a) - livedOf(b))
      .slice(0, limit);
    for (const { device, seq } of stale) {
      this.rows.delete(device);
      this.floor = Math.max(this.floor, seq);
    }
    return { forgotten: stale.length, floor: this.floor };
  }

  #writeCommands({ rows, outcomes, settledTo, forgetAgeMs }: CommandWrites): void {
    for (const row of rows) {
      this.commands.set(row.id, row);
      this.#commandLived.set(row.id, this.#livedMs());
    }
    this.toTell.push(...outcomes);
    this.toTell = this.toTell.filter(({ id }) => id > settledTo);
    if (forgetAgeMs === undefined) return;
    const before = this.#livedMs() - forgetAgeMs;
    for (const { id, state } of this.commands.values()) {
      if (isOver(state) && (this.#commandLived.get(id) ?? 0) < before) this.commands.delete(id);
    }
  }

  #inOrder(): CommandRow[] {
    return [...this.commands.values()].sort((a, b) => a.id - b.id);
  }

  async openCommands(): Promise<OpenCommands> {
    const devices = new Map<string, { device: string; waiting: number; taken: number }>();
    for (const { device, state } of this.commands.values()) {
      if (isOver(state)) continue;
      const known = devices.get(device) ?? { device, waiting: 0, taken: 0 };
      devices.set(device, known);
      if (state === 'waiting') known.waiting += 1;
      else known.taken += 1;
    }
    const lastCommand = Math.max(0, ...this.commands.keys());
    const lastOutcome = this.toTell.at(-1)?.id ?? 0;
    return { devices: [...devices.values()], lastCommand, lastOutcome };
  }

  async findCommands(keys: readonly string[]): Promise<CommandRow[]> {
    const rows = this.#inOrder();
    return keys.flatMap((key) => rows.filter((row) => row.key === key));
  }

  async waitingCommands(
    of: readonly { device: string; after: number; limit: number }[],
  ): Promise<CommandRow[]> {
    const rows = this.#inOrder().filter(({ state }) => state === 'waiting');
    return of.flatMap(({ device, after, limit }) =>
      rows.filter((row) => row.device === device && row.id > after).slice(0, limit),
    );
  }

  async dueCommands(now: number, resultMs: number, limit: number): Promise<CommandRow[]> {
    const open = this.#inOrder().filter(({ state }) => !isOver(state));
    const due = open.filter(({ due }) => due <= now).sort((a, b) => a.due - b.due);
    const livedOf = ({ id }: CommandRow) => this.#commandLived.get(id) ?? 0;
    const takenBefore = this.#livedMs() - resultMs;
    const overdue = open
      .filter((row) => row.state === 'taken' && row.due > now && livedOf(row) <= takenBefore)
      .sort((a, b) => livedOf(a) - livedOf(b));
    return [...due, ...overdue].slice(0, limit);
  }

  async outcomes(after: number, limit: number): Promise<StoredOutcome[]> {
    return this.toTell.filter(({ id }) => id > after).slice(0, limit);
  }

  async close(): Promise<void> {}
}
