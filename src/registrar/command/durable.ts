/**
 * DurableCommands: kept ones: stored before the broker may forget them, and sent until taken.
 * From: commands.ts.  To: the store, in presence's own transactions (`prepare`, then `committed` or
 * `rolledBack`); once that is on record, to links (deviceQueues.ts), and outcomes.
 * Bound: `commandsPerDeviceMax` per device and `commandsKeptMax` in all, beyond that `refused`;
 * `presenceBatchMax` of each kind, and LOAD_BYTES_MAX to send, in a transaction.
 */
import type { Refusal } from '../../base/errors.ts';
import type {
  CommandRow,
  CommandStore,
  CommandWrites,
  OpenCommands,
  Outcome,
  StoredOutcome,
} from '../store/commandRows.ts';
import type { Row } from '../store/presenceRules.ts';
import { type Arrived, type CommandBatch, keep, type Load, makeBatch, takeSome } from './batch.ts';
import type { Command } from './command.ts';
import { DeviceQueues, type DeviceQueuesOptions } from './deviceQueues.ts';
import type { Delivery } from './effects.ts';
import {
  type Arrival,
  answerTransition,
  arrivalOf,
  type DeviceAnswer,
  dueTransition,
  endOf,
  refusedTransition,
  rowOf,
  type Transition,
} from './transitions.ts';

export interface DurableOptions extends DeviceQueuesOptions {
  readonly store: CommandStore & { read(devices: readonly string[]): Promise<Row[]> };
  /** 16 bytes that were never used, in hexadecimal. */
  readonly newKey: () => string;
  readonly onOpen: (opened: OpenCommands) => void;
  /** These are recorded: all that are to be published, and those whose delivery waits for it. */
  readonly onCommit: (published: readonly Outcome[], stored: readonly StoredOutcome[]) => void;
  /** An answer that changed nothing: its command had ended. */
  readonly onLate: () => void;
  /** Outcomes up to this id are at the broker. */
  readonly settledTo: () => number;
}

/** How often the store is asked what is due. */
const LOOK_MS = 100;
const FORGET_EVERY_MS = 10_000;
/**
 * How long one for an unknown device waits for that to be known: it may answer the first message of
 * a new one. And how many may wait, as a share of the broker's prefetch: others come after them.
 */
const UNKNOWN_MS = 1_000;
const UNKNOWN_SHARE = 1 / 4;
/** Payloads that one transaction reads in order to send them. */
const LOAD_BYTES_MAX = 8 * 1_024 * 1_024;
/** Devices that are read for at a time: their windows may be beyond that. */
const LOAD_DEVICES = 32;

export class DurableCommands {
  /** Those that have not ended, on their way to the links. */
  readonly queues: DeviceQueues;
  readonly #options: DurableOptions;
  #arrived: Arrived[] = [];
  #answers: DeviceAnswer[] = [];
  /** For devices not known yet, in order; checked again at each tick. */
  #unknown: Arrived[] = [];
  readonly #unknownDevices = new Set<string>();
  /** The next transaction looks at them again; not one that is being made, which has later ones. */
  #isUnknownDue = false;
  #batch: CommandBatch | undefined;
  #isOpen = false;
  #lastCommand = 0;
  #lastOutcome = 0;
  #deletedTo = 0;
  #lookAt = 0;
  #forgetAt = 0;

  constructor(options: DurableOptions) {
    this.#options = options;
    this.queues = new DeviceQueues(options);
  }

  /** There is something to record, or to read. */
  get isBusy(): boolean {
    const isWaiting = this.#arrived.length + this.#answers.length > 0 || this.#isUnknownDue;
    return isWaiting || this.queues.isWanting;
  }

  // What happens.

  begin(command: Command, delivery: Delivery, refusal?: Refusal): void {
    const { trace, effects, now } = this.#options;
    const { key, device } = command;
    // It is Commands!Deliver when it is on record.
    trace('Commands!Receive', { key, device, isRedelivered: delivery.isRedelivered });
    this.#arrived.push({ command, delivery, refusal, until: now() + UNKNOWN_MS });
    effects.wake();
  }

  /** What has not been recorded yet will be delivered again. */
  channelLost(): void {
    this.#arrived = [];
    this.#unknown = [];
    this.#unknownDevices.clear();
  }

  tick(): void {
    this.queues.tick();
    if (this.#unknown.length === 0) return;
    this.#isUnknownDue = true;
    this.#options.effects.wake();
  }

  #retryUnknown(): void {
    if (!this.#isUnknownDue) return;
    this.#isUnknownDue = false;
    this.#arrived.unshift(...this.#unknown);
    this.#unknown = [];
    this.#unknownDevices.clear();
  }

  /** Its device may be known a moment later; what follows for it waits too. */
  #mayWait({ command, delivery, until }: Arrived, arrival: Arrival): boolean {
    const { device } = command;
    if (this.#unknownDevices.has(device)) return true;
    if (arrival !== 'unknown-device' || delivery.isRedelivered) return false;
    if (until <= this.#options.now()) return false;
    return this.#unknown.length < this.#options.limits.commandPrefetch * UNKNOWN_SHARE;
  }

  #wait(arrived: Arrived): void {
    this.#unknown.push(arrived);
    this.#unknownDevices.add(arrived.command.device);
  }

  answered(answer: DeviceAnswer): void {
    this.#answers.push(answer);
    this.#options.effects.wake();
  }

  // To the store.

  /** What the next transaction has to write, if anything; reads what that needs. */
  async prepare(): Promise<CommandWrites | undefined> {
    await this.#open();
    const { store, limits, wall } = this.#options;
    const max = limits.presenceBatchMax;
    const now = wall();
    this.#retryUnknown();
    const arrived = takeSome(this.#arrived, max, ({ command }) => command.payload.length);
    const answers = takeSome(this.#answers, max, (answer) =>
      answer.what === 'result' ? answer.payload.length : 0,
    );
    const loads = this.queues.takeLoads(max);
    const batch = makeBatch(arrived, answers, loads);
    this.#batch = batch;
    const keys = [...arrived.map(({ command }) => command.key), ...answers.map(({ key }) => key)];
    if (keys.length > 0) keep(batch.rows, await store.findCommands([...new Set(keys)]));
    const known = await this.#strangers(arrived);
    for (const one of arrived) this.#arrive(batch, one, known, now);
    for (const answer of answers) this.#answer(batch, answer, now);
    await this.#end(batch, now);
    await this.#load(batch, loads);
    return this.#writes(batch);
  }

  async #open(): Promise<void> {
    if (this.#isOpen) return;
    const { store, onOpen } = this.#options;
    const opened = await store.openCommands();
    this.#lastCommand = opened.lastCommand;
    this.#lastOutcome = opened.lastOutcome;
    this.#isOpen = true;
    onOpen(opened);
    this.queues.open(opened.devices);
  }

  /** Devices of new commands that have no link, but had one. */
  async #strangers(arrived: readonly Arrived[]): Promise<Set<string>> {
    const { store, link } = this.#options;
    const devices = new Set(arrived.map(({ command }) => command.device));
    const away = [...devices].filter((device) => link(device) === undefined);
    const rows = away.length > 0 ? await store.read(away) : [];
    return new Set(rows.map(({ device }) => device));
  }

  #arrive(batch: CommandBatch, arrived: Arrived, known: ReadonlySet<string>, now: number): void {
    const { effects, limits, link, newKey, trace } = this.#options;
    const { command, delivery, refusal } = arrived;
    const { device } = command;
    const row = batch.rows.get(command.key);
    const added = batch.added.get(device) ?? 0;
    const ofDevice = this.queues.countOf(device) + added;
    const ofAll = this.queues.size + batch.kept;
    const isDeviceKnown = known.has(device) || link(device) !== undefined;
    const meeting = { row, ofDevice, ofAll, isDeviceKnown, refusal };
    const arrival = arrivalOf(command, delivery, meeting, now, limits);
    if (this.#mayWait(arrived, arrival)) {
      batch.steps.push(() => this.#wait(arrived));
      return;
    }
    // tla: Commands!Deliver
    const { isRedelivered } = delivery;
    trace('Commands!Deliver', { key: command.key, isRedelivered, arrival });
    if (arrival === 'repeat') {
      // One that its sender repeats may have missed the end.
      const end = row && !isRedelivered ? endOf(row, command) : undefined;
      if (end) this.#record(batch, end);
      batch.steps.push(() => effects.settle(delivery));
      return;
    }
    batch.count += 1;
    const next = rowOf(this.#lastCommand + batch.count, row ? newKey() : command.key, command, now);
    if (arrival === 'keep') {
      this.#change(batch, next);
      batch.added.set(device, added + 1);
      batch.kept += 1;
      batch.steps.push(() => this.queues.added(next));
    } else {
      const refused = refusedTransition(next, arrival);
      this.#change(batch, refused.row);
      this.#record(batch, refused.outcome);
    }
    batch.steps.push(() => effects.settle(delivery));
  }

  #answer(batch: CommandBatch, answer: DeviceAnswer, now: number): void {
    const { onLate, trace } = this.#options;
    const transition = answerTransition(batch.rows.get(answer.key), answer, now);
    // tla: Commands!Answer
    trace('Commands!Answer', { key: answer.key, state: transition?.row.state });
    if (transition) this.#apply(batch, transition);
    else batch.steps.push(onLate);
  }

  async #end(batch: CommandBatch, now: number): Promise<void> {
    const { store, limits, trace } = this.#options;
    const looked = this.#options.now();
    if (this.queues.size === 0 || looked < this.#lookAt) return;
    const { commandResultMs, presenceBatchMax } = limits;
    const due = await store.dueCommands(now, commandResultMs, presenceBatchMax);
    this.#lookAt = due.length === presenceBatchMax ? looked : looked + LOOK_MS;
    for (const found of due) {
      const row = batch.rows.get(found.key) ?? found;
      batch.rows.set(row.key, row);
      const transition = dueTransition(row, this.queues.maySent(row), now);
      if (!transition) continue;
      // tla: Commands!Expire
      trace('Commands!Expire', { key: row.key, reason: transition.row.reason });
      this.#apply(batch, transition);
    }
  }

  /** What would be more than LOAD_BYTES_MAX is left for the next transaction. */
  async #load(batch: CommandBatch, loads: readonly Load[]): Promise<void> {
    let bytes = 0;
    let next = 0;
    while (next < loads.length && bytes < LOAD_BYTES_MAX) {
      const some = loads.slice(next, next + LOAD_DEVICES);
      const wanted = some.map(({ device, after, limit }) => ({ device, after, limit }));
      const found = await this.#options.store.waitingCommands(wanted);
      for (const { payload } of found) bytes += payload.length;
      const rows = Map.groupBy(found, ({ device }) => device);
      batch.steps.unshift(() => {
        for (const { queue, device, generation } of some) {
          queue.loaded(rows.get(device) ?? [], generation);
          batch.touched.add(device);
        }
      });
      next += some.length;
    }
    this.queues.giveBack(loads.slice(next));
  }

  #apply(batch: CommandBatch, { row, outcome }: Transition): void {
    const before = batch.rows.get(row.key)?.state;
    this.#change(batch, row);
    this.#record(batch, outcome);
    batch.steps.push(() => this.queues.moved(row, before));
    batch.touched.add(row.device);
  }

  #change(batch: CommandBatch, row: CommandRow): void {
    batch.rows.set(row.key, row);
    batch.changed.add(row.key);
    batch.touched.add(row.device);
  }

  #record({ published, outcomes }: CommandBatch, outcome: Outcome): void {
    published.push(outcome);
    if (outcome.replyTo === '') return;
    outcomes.push({ ...outcome, id: this.#lastOutcome + outcomes.length + 1 });
  }

  #writes(batch: CommandBatch): CommandWrites | undefined {
    const { settledTo, limits } = this.#options;
    const now = this.#options.now();
    const { rows, changed, outcomes } = batch;
    batch.settledTo = settledTo();
    const isForgetting = now >= this.#forgetAt && this.#lastCommand > 0;
    const isWriting = changed.size + outcomes.length > 0 || batch.settledTo > this.#deletedTo;
    if (!isWriting && !isForgetting) return undefined;
    if (isForgetting) this.#forgetAt = now + FORGET_EVERY_MS;
    const forgetting = isForgetting ? { forgetAgeMs: limits.commandRememberMs } : {};
    const written = [...changed].map((key) => rows.get(key) as CommandRow);
    return { rows: written, outcomes, settledTo: batch.settledTo, ...forgetting };
  }

  /** The transaction is on disk. */
  committed(): void {
    const batch = this.#batch;
    if (!batch) return;
    this.#batch = undefined;
    // What was traced of this batch has happened, all at once.
    if (batch.steps.length > 0) this.#options.trace('Commands!Commit', {});
    this.#deletedTo = batch.settledTo;
    this.#lastOutcome += batch.outcomes.length;
    this.#lastCommand += batch.count;
    for (const step of batch.steps) step();
    if (batch.published.length > 0) this.#options.onCommit(batch.published, batch.outcomes);
    for (const device of batch.touched) this.queues.pump(device);
  }

  /** It is not; all of it will be tried again. */
  rolledBack(): void {
    const batch = this.#batch;
    if (!batch) return;
    this.#batch = undefined;
    this.#options.trace('Commands!Rollback', {});
    this.#lookAt = 0;
    this.#arrived.unshift(...batch.arrived);
    this.#answers.unshift(...batch.answers);
    this.queues.giveBack(batch.loads);
  }
}
