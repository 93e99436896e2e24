/**
 * DeviceQueues: kept commands on their way to the links, each device's in its own (deviceQueue.ts).
 * From: durable.ts: what is on record; commands.ts: who has a link, and which link took nothing.
 * To: links, by its effects; the rows that the next transaction has to read.
 * Bound: a queue per device that has commands, of a few bytes for each of its window. Payloads are
 * held from the transaction that read them until they are sent, right after it; what a link does
 * not take then is dropped, and read again in `commandRetryMs`. `commandsPerSecond` of those that
 * have waited are read: a fleet that comes back must not slow down devices already connected.
 */
import { Bucket } from '../../base/bucket.ts';
import type { Limits } from '../../base/limits.ts';
import type { Trace } from '../../base/trace.ts';
import type { Unsent } from '../../node/messages.ts';
import type { CommandRow, OpenCommands } from '../store/commandRows.ts';
import type { HeldLink } from '../store/presenceRules.ts';
import type { Load } from './batch.ts';
import { DeviceQueue } from './deviceQueue.ts';
import type { Effects } from './effects.ts';

export interface DeviceQueuesOptions {
  readonly effects: Effects;
  readonly limits: Limits;
  /** ms since 1970: senders' deadlines are judged by it, and nothing else. */
  readonly wall: () => number;
  /** ms of a monotonic clock: for the times that Owsla itself waits. */
  readonly now: () => number;
  readonly trace: Trace;
  readonly link: (device: string) => HeldLink | undefined;
}

/** What may be read at once after a quiet time, in ms of `commandsPerSecond`. */
const BURST_MS = 100;

export class DeviceQueues {
  readonly #options: DeviceQueuesOptions;
  readonly #queues = new Map<string, DeviceQueue>();
  /** Devices whose next rows are to be read. */
  readonly #wanting = new Set<string>();
  /** Devices whose link had no room, and when to try again. */
  readonly #busy = new Map<string, number>();
  #size = 0;
  /** Waiting commands that may be read now. */
  readonly #bucket: Bucket;

  constructor(options: DeviceQueuesOptions) {
    const { commandsPerSecond } = options.limits;
    const burst = Math.max(1, (BURST_MS * commandsPerSecond) / 1_000);
    this.#options = options;
    this.#bucket = new Bucket(commandsPerSecond, burst, options.now());
  }

  /** Commands that have not ended. */
  get size(): number {
    return this.#size;
  }

  /** There is something to read, and it may be read now; else `tick` says when. */
  get isWanting(): boolean {
    if (this.#wanting.size === 0) return false;
    this.#bucket.fill(this.#options.now());
    return !this.#bucket.isEmpty;
  }

  /** Those of this device. */
  countOf(device: string): number {
    const queue = this.#queues.get(device);
    return queue === undefined ? 0 : queue.waiting + queue.taken;
  }

  /** May a transient go to this device now? */
  admits(device: string): boolean {
    return this.#queues.get(device)?.admits() ?? true;
  }

  /** Its device may have it. */
  maySent({ device, key }: CommandRow): boolean {
    return this.#queues.get(device)?.maySent(key) === true;
  }

  // Links.

  /** The device's link is another one now, or none. */
  unlinked(device: string): void {
    this.#busy.delete(device);
    this.#queues.get(device)?.unlink();
  }

  /** The device's link is there: new, or of an acceptor that does not know what was sent to it. */
  linked(device: string): void {
    const queue = this.#queues.get(device);
    if (!queue) return;
    queue.rewind();
    this.#pump(queue);
  }

  /** The acceptor did not send it. May the device have it nevertheless, from another time? */
  unsent(device: string, key: string, why: Unsent): boolean {
    if (why === 'busy') this.#retry(device);
    return this.#queues.get(device)?.unsent(key) === true;
  }

  /** The link has no room: try again a little later. */
  #retry(device: string): void {
    const { now, limits } = this.#options;
    if (!this.#busy.has(device)) this.#busy.set(device, now() + limits.commandRetryMs);
  }

  tick(): void {
    const now = this.#options.now();
    for (const [device, at] of this.#busy) {
      if (at > now) continue;
      this.#busy.delete(device);
      this.linked(device);
    }
    if (this.isWanting) this.#options.effects.wake();
  }

  /** Send what may be sent now. */
  pump(device: string): void {
    const queue = this.#queues.get(device);
    if (queue) this.#pump(queue);
  }

  #pump(queue: DeviceQueue): void {
    const { wall, link, effects } = this.#options;
    if (link(queue.device) === undefined) return;
    for (let row = queue.next(wall()); row; row = queue.next(wall())) {
      if (!this.#send(queue, row, queue.last)) {
        // It is tried again, or comes with a hand-over; nothing that follows may go before it.
        queue.rewind();
        return;
      }
      this.#trace(queue, row);
      queue.sent();
    }
    if (queue.wants() === undefined) return;
    this.#wanting.add(queue.device);
    effects.wake();
  }

  #trace(queue: DeviceQueue, row: CommandRow): void {
    const { trace } = this.#options;
    // tla: Commands!Send
    if (!queue.isAgain(row)) trace('Commands!Send', { key: row.key });
    // tla: Commands!Show
    else if (queue.last === '') trace('Commands!Show', { device: row.device });
  }

  #send({ device }: DeviceQueue, row: CommandRow, after: string): boolean {
    const { effects, link } = this.#options;
    const to = link(device);
    if (to === undefined) return false;
    const { key, topic, payload, due, context } = row;
    const sent = effects.send(to, device, { key, topic, payload, due, after, context });
    // One without a stream comes back with a hand-over, which sends all of it again.
    if (sent === 'busy') this.#retry(device);
    return sent === 'sent';
  }

  // What is on record.

  /** What an earlier process left. Any of the first that wait may have been sent. */
  open(devices: OpenCommands['devices']): void {
    const { commandWindowMax } = this.#options.limits;
    for (const { device, waiting, taken } of devices) {
      const queue = new DeviceQueue(device, commandWindowMax, Math.min(waiting, commandWindowMax));
      queue.waiting = waiting;
      queue.taken = taken;
      this.#queues.set(device, queue);
      this.#size += waiting + taken;
    }
    for (const queue of this.#queues.values()) this.#pump(queue);
  }

  /** What to read in the next transaction. */
  takeLoads(max: number): Load[] {
    const loads: Load[] = [];
    this.#bucket.fill(this.#options.now());
    for (const device of this.#wanting) {
      if (loads.length === max || this.#bucket.isEmpty) break;
      this.#wanting.delete(device);
      const queue = this.#queues.get(device);
      const wants = queue?.wants();
      if (!queue || !wants) continue;
      queue.isLoading = true;
      // A window may cost more than there is: what follows waits for it.
      this.#bucket.take(wants.limit);
      loads.push({ queue, generation: queue.generation, ...wants });
    }
    return loads;
  }

  /** These were not read: they are to be taken again. */
  giveBack(loads: readonly Load[]): void {
    for (const { queue, generation, device } of loads) {
      if (queue.generation === generation) queue.isLoading = false;
      this.#wanting.add(device);
    }
  }

  /** A new command. */
  added(row: CommandRow): void {
    const { limits, link } = this.#options;
    const { device } = row;
    let queue = this.#queues.get(device);
    if (!queue) {
      queue = new DeviceQueue(device, limits.commandWindowMax);
      this.#queues.set(device, queue);
    }
    queue.add(row, link(device) !== undefined);
    this.#size += 1;
  }

  /** A command was in state `before`, and is in the row's. */
  moved(row: CommandRow, before: CommandRow['state'] | undefined): void {
    const queue = this.#queues.get(row.device);
    if (!queue) return;
    if (before === 'waiting') queue.left(row.key);
    else queue.taken -= 1;
    if (row.state === 'taken') queue.taken += 1;
    else this.#size -= 1;
    if (queue.isEmpty) this.#queues.delete(row.device);
  }
}
