/**
 * Recorder: which devices are connected, one row each, by the five rules of docs/presence-spec.md.
 * From: acceptors' streams (links that begin and end, hand-overs) and the supervisor's list of live
 * acceptors.  To: the store, one transaction per batch; then events to notifier.ts and takeovers
 * back to the acceptors. No I/O of its own: `work` does one batch, its caller decides when.
 * Bound: `presenceQueueMax` changes wait; at that `isFull` holds and streams are no longer read.
 */
import type { Limits } from '../../base/limits.ts';
import { bump, type PresenceCounters } from '../../base/metrics.ts';
import type { Trace } from '../../base/trace.ts';
import type { Succession } from '../../node/ipc.ts';
import type { CommandWrites } from '../store/commandRows.ts';
import type { Down, HeldLink, Row, Up } from '../store/presenceRules.ts';
import type { Opened, OutboxEvent, Store } from '../store/store.ts';
import type { Wills } from '../will/wills.ts';
import {
  Changes,
  changedDevice,
  type HeirStep,
  overOf,
  type Step,
  type Sweep,
  type WillStep,
} from './changes.ts';
import { type BatchOutcome, Judge } from './judge.ts';
import { Successions } from './successions.ts';
import { TakeoverThrottle } from './takeoverThrottle.ts';

/** A part that writes in the same transactions. After `prepare` one of the others is called. */
export interface TransactionPart {
  /** It has something to write, or to read. */
  readonly isBusy: boolean;
  prepare(): Promise<CommandWrites | undefined>;
  /** All of the batch is on disk; these rows are what it found or wrote. */
  committed(rows: Iterable<Row>): void;
  rolledBack(): void;
}

export interface RecorderOptions {
  readonly store: Store;
  /** Names this start of the node; its children's restarts keep it. */
  readonly node: string;
  readonly limits: Limits;
  readonly clock: { now(): number; wall(): number };
  readonly trace: Trace;
  readonly counters: Pick<PresenceCounters, 'changes' | 'takeovers'>;
  /** This link has to close, wherever it is. */
  readonly onTakeover: (link: HeldLink) => void;
  /** It is on record that these links of `acceptor` have moved. */
  readonly onRecorded?: (acceptor: string, connections: readonly string[]) => void;
  /** The store is there; its presence outbox may hold events of before. */
  readonly onOpen: (opened: Opened) => void;
  /** These are recorded, and may be published. */
  readonly onCommit: (events: readonly OutboxEvent[]) => void;
  /** So many takeovers of one device without a quiet time: several devices may share its id. */
  readonly onClone: (device: string, takeovers: number) => void;
  /** Events up to this id are at the broker. */
  readonly settledTo: () => number;
  readonly transactionPart?: TransactionPart;
  readonly wills?: Pick<Wills, 'open' | 'writes' | 'committed'>;
}

/** How often it looks for rows old enough to delete. */
const FORGET_EVERY_MS = 60_000;

export class Recorder {
  readonly #options: RecorderOptions;
  readonly #throttle: TakeoverThrottle;
  /** Live incarnations, each with its hand-over until that is swept; undefined: not yet known. */
  #live: Map<string, Sweep | undefined> | undefined;
  readonly #changes = new Changes();
  readonly #sweeps = new Set<Sweep>();
  readonly #successions = new Successions();
  readonly #judge: Judge;
  #opened: Opened | undefined;
  /** Rows of acceptors that ended before this process began have been put on the list. */
  #isCaughtUp = false;
  #outbox = 0;
  #compactAt: number;
  #floor = 0;
  #lastEvent = 0;
  #deletedTo = 0;
  #forgetAt = 0;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#throttle = new TakeoverThrottle(options.limits);
    const [throttle, successions] = [this.#throttle, this.#successions];
    this.#judge = new Judge({ ...options, throttle, successions });
    this.#compactAt = options.limits.presenceOutboxMax;
  }

  /** No more changes now; `work` makes room. */
  isFull(): boolean {
    return this.#changes.length >= this.#options.limits.presenceQueueMax;
  }

  /** What waits could share its transaction with what comes next. */
  get isPatient(): boolean {
    const { transactionPart, limits } = this.#options;
    const { length } = this.#changes;
    const isPart = length > 0 && length < limits.presenceBatchMax;
    return isPart && this.#sweeps.size === 0 && transactionPart?.isBusy !== true;
  }

  /** A change of this device was reported and is not recorded yet. */
  isChanging(device: string): boolean {
    return this.#changes.has(device);
  }

  /** For the metrics. */
  figures(): { waiting: number; outbox: number; held: number; sweeps: number } {
    const [sweeps, held] = [this.#sweeps.size, this.#throttle.size];
    return { waiting: this.#changes.length, outbox: this.#outbox, held, sweeps };
  }

  /** Devices with repeated takeovers, and how many each. */
  clones(max: number): [string, number][] {
    const cloned = this.#throttle.cloned(this.#options.clock.now(), max);
    return cloned.map((device) => [device, this.#throttle.takeovers(device)]);
  }

  // From the supervisor.

  /** Every live incarnation. One that is missing, and was not before, has been seen to end. */
  onNode(live: readonly string[], successions: readonly Succession[] = []): void {
    this.#successions.set(successions, live);
    const before = this.#live ?? new Map<string, Sweep | undefined>();
    this.#live = new Map(live.map((acceptor) => [acceptor, before.get(acceptor)]));
    for (const acceptor of before.keys()) {
      if (!this.#live.has(acceptor)) this.#end(acceptor);
    }
  }

  /** What its stream still holds is ignored from now on, because it is not live. */
  #end(acceptor: string): void {
    this.#forgetSweeps(acceptor);
    this.#changes.push({ kind: 'sweep', sweep: { acceptor, after: '' } });
  }

  // From one acceptor's stream. Messages of an acceptor that is not live are ignored.

  get liveAcceptors(): readonly string[] {
    return [...(this.#live?.keys() ?? [])];
  }

  /** Is this incarnation accepted? One that the supervisor has not named yet may be so later. */
  isLive(acceptor: string): boolean {
    return this.#live?.has(acceptor) === true;
  }

  /** It begins to hand over every link it holds. */
  begin(acceptor: string): void {
    if (!this.isLive(acceptor)) return;
    this.#forgetSweeps(acceptor);
    this.#live?.set(acceptor, { acceptor, seen: new Set(), after: '' });
  }

  up(link: Omit<Up, 'kind' | 'start'>): void {
    if (!this.isLive(link.acceptor)) return;
    // Up to the end of the sweep, for a link that began meanwhile is there too.
    this.#live?.get(link.acceptor)?.seen?.add(link.connection);
    // `open` puts the start number in: it may not be known yet.
    this.#changes.push({ kind: 'up', start: 0, ...link });
  }

  down(acceptor: string, link: Omit<Down, 'kind'>): void {
    if (this.isLive(acceptor)) this.#changes.push({ kind: 'down', ...link, acceptor });
  }

  /** Before its hand-over is complete: these are its successor's, and not over. */
  moved(acceptor: string, connections: readonly string[]): void {
    const seen = this.#live?.get(acceptor)?.seen;
    for (const connection of connections) seen?.add(connection);
    const recorded = this.#successions.recorded(acceptor, connections);
    if (recorded.length > 0) this.#options.onRecorded?.(acceptor, recorded);
  }

  /** It has told all that there is of its predecessor. */
  heir(acceptor: string, of: string): void {
    if (this.isLive(acceptor)) this.#changes.push({ kind: 'heir', acceptor, of });
  }

  /** What an acceptor says of wills. */
  will(acceptor: string, step: WillStep): void {
    if (this.isLive(acceptor)) this.#changes.push(step);
  }

  /** Their delay is over: publish those that still wait. */
  due(wills: readonly { readonly device: string; readonly connection: string }[]): void {
    for (const { device, connection } of wills) {
      this.#changes.push({ kind: 'due', device, connection });
    }
  }

  /** It has handed over: links in its rows that it did not name have ended. */
  handedOver(acceptor: string): void {
    const sweep = this.#live?.get(acceptor);
    if (sweep) this.#changes.push({ kind: 'sweep', sweep });
  }

  #forgetSweeps(acceptor: string): void {
    for (const sweep of this.#sweeps) if (sweep.acceptor === acceptor) this.#sweeps.delete(sweep);
  }

  // The work.

  /**
   * Do one batch: read, apply the rules, one transaction, then publish. False when nothing is
   * left to do for now. Rejects with a StoreError when the store fails: nothing is lost, and `work`
   * may be called again. Never call it while it works.
   */
  async work(): Promise<boolean> {
    const { limits, clock, trace } = this.#options;
    const { start } = await this.#open();
    await this.#catchUp();
    const sweep = firstOf(this.#sweeps);
    const page = sweep ? await this.#page(sweep) : [];
    const held = this.#throttle.snapshot();
    const due = this.#throttle.due(clock.now(), limits.presenceBatchMax);
    const taken = this.#changes.take(limits.presenceBatchMax);
    try {
      const over = page.flatMap((row) => overOf(row, sweep, start, clock.wall()));
      const steps = [...over, ...due, ...taken];
      await this.#batch(steps, taken, start);
    } catch (error) {
      // What was traced since the last commit has not happened.
      trace('Rollback', {});
      this.#changes.putBack(taken);
      this.#throttle.restore(held);
      this.#options.transactionPart?.rolledBack();
      throw error;
    }
    if (sweep) this.#swept(sweep, page);
    await this.#tidy();
    const isBusy = this.#options.transactionPart?.isBusy === true;
    return this.#changes.length > 0 || this.#sweeps.size > 0 || isBusy;
  }

  async #open(): Promise<Opened> {
    if (this.#opened) return this.#opened;
    const { store, node, clock } = this.#options;
    const opened = await store.open(node, clock.wall());
    this.#outbox = opened.outbox;
    this.#floor = opened.floor;
    this.#lastEvent = opened.lastEvent;
    this.#opened = opened;
    this.#options.onOpen(opened);
    return opened;
  }

  /** Acceptors whose end no registrar has recorded: of earlier starts, or while none was there. */
  async #catchUp(): Promise<void> {
    if (this.#isCaughtUp || this.#live === undefined) return;
    for (const acceptor of await this.#options.store.acceptors()) {
      if (!this.#live.has(acceptor)) this.#end(acceptor);
    }
    this.#isCaughtUp = true;
  }

  #page(sweep: Sweep): Promise<Row[]> {
    const { store, limits } = this.#options;
    return store.online(sweep.acceptor, sweep.after, limits.presenceBatchMax);
  }

  /** One page of a sweep is done; after the last, the hand-over's set is let go. */
  #swept(sweep: Sweep, page: readonly Row[]): void {
    const last = page.at(-1);
    if (last && page.length >= this.#options.limits.presenceBatchMax) {
      sweep.after = last.device;
      return;
    }
    this.#sweeps.delete(sweep);
    if (this.#live?.get(sweep.acceptor) === sweep) this.#live.set(sweep.acceptor, undefined);
  }

  /** `steps`; those of them that were `taken` from the queue are recorded then. */
  async #batch(steps: readonly Step[], taken: readonly Step[], start: number): Promise<void> {
    const { store, onCommit, onTakeover, settledTo, trace, counters } = this.#options;
    const { transactionPart, wills } = this.#options;
    const devices = [...new Set(steps.flatMap((step) => changedDevice(step) ?? []))];
    const known = devices.length > 0 ? await store.read(devices) : [];
    const rows = new Map(known.map((row) => [row.device, row]));
    const none = { events: [], reasons: [], closes: [], sweeps: [], shown: [], heirs: [] };
    const book = await wills?.open(devices);
    const changes = { rows, changed: new Set<string>(), ...none, wills: book };
    const outcome: BatchOutcome = { ...changes, ...this.#at() };
    for (const step of steps) this.#step(step, start, outcome);
    const { changed, events, reasons, closes, sweeps } = outcome;
    const settled = settledTo();
    const commands = await transactionPart?.prepare();
    const willed = book && wills?.writes(book);
    if (changed.size > 0 || settled > this.#deletedTo || commands || willed) {
      const written = [...changed].map((device) => rows.get(device) as Row);
      this.#outbox = await store.write({
        rows: written,
        events,
        settledTo: settled,
        ...(commands && { commands }),
        ...(willed && { wills: willed }),
      });
      this.#deletedTo = settled;
      this.#lastEvent += events.length;
    }
    // What was traced since the last of these lines has happened, all at once.
    if (steps.length > 0) trace('Commit', {});
    this.#changes.recorded(taken);
    if (events.length > 0) onCommit(events);
    transactionPart?.committed(rows.values());
    if (book) wills?.committed(book, willed);
    for (const { of, acceptor } of outcome.heirs) this.#successions.heard(of, acceptor);
    const due = [...sweeps, ...this.#successions.takeDue()];
    for (const sweep of due) if (this.#isReady(sweep)) this.#sweeps.add(sweep);
    this.#tellShown(outcome.shown);
    for (const reason of reasons) bump(counters.changes, reason);
    counters.takeovers += closes.length;
    for (const link of closes) onTakeover(link);
  }

  /** Rows of an ended acceptor wait for its successor. */
  #isReady(sweep: Sweep): boolean {
    if (!this.#isCurrent(sweep)) return false;
    return sweep.seen !== undefined || this.#successions.admits(sweep);
  }

  /** Predecessors need not list what is on record as their successors'. */
  #tellShown(shown: readonly HeldLink[]): void {
    const told = shown.flatMap(({ acceptor, connection }) =>
      this.#successions.shown(acceptor, connection).map((of) => ({ of, connection })),
    );
    for (const [of, links] of Map.groupBy(told, (link) => link.of)) {
      const connections = links.map(({ connection }) => connection);
      this.#options.onRecorded?.(of, connections);
    }
  }

  /** What rows and events of this batch count on from. */
  #at(): Pick<BatchOutcome, 'floor' | 'epoch' | 'lastEvent'> {
    const { epoch = 0 } = this.#opened ?? {};
    return { floor: this.#floor, epoch, lastEvent: this.#lastEvent };
  }

  #step(step: Step, start: number, outcome: BatchOutcome): void {
    if (step.kind === 'sweep') this.#beginSweep(step.sweep, outcome);
    else if (step.kind === 'heir') this.#heir(step, outcome);
    else if (step.kind === 'due') outcome.wills?.due(step.device, step.connection);
    else if (step.kind === 'all-told') outcome.wills?.toldAll(step);
    else if (step.kind === 'will') this.#will(step, outcome);
    else if (step.kind === 'up') this.#judge.up({ ...step, start }, outcome);
    else this.#judge.down(step, outcome);
  }

  #will({ device, connection, will }: WillStep & { kind: 'will' }, outcome: BatchOutcome): void {
    outcome.wills?.told(outcome.rows.get(device), device, connection, will);
  }

  #heir({ acceptor, of }: HeirStep, { heirs }: BatchOutcome): void {
    // tla: Presence!Heir
    this.#options.trace('Heir', { acceptor, of });
    heirs.push({ acceptor, of });
  }

  #beginSweep(sweep: Sweep, { sweeps }: BatchOutcome): void {
    const { acceptor, seen } = sweep;
    if (!this.#isCurrent(sweep)) return;
    // tla: Presence!HandedOver, Presence!ExitSeen
    this.#options.trace(seen ? 'HandedOver' : 'ExitSeen', { acceptor });
    sweeps.push(sweep);
    this.#throttle.drop(acceptor, (connection) => seen?.has(connection) !== true);
  }

  /** A later hand-over of the same acceptor is more recent, and its end is final. */
  #isCurrent(sweep: Sweep): boolean {
    return sweep.seen === undefined || this.#live?.get(sweep.acceptor) === sweep;
  }

  /** Housekeeping, a little at a time: the outbox's bound, and devices offline for long. */
  async #tidy(): Promise<void> {
    const { store, limits, clock, trace } = this.#options;
    if (this.#outbox > this.#compactAt) {
      // tla: Presence!Compact
      trace('Compact', {});
      this.#outbox = await store.compact();
      // As many devices may have an event each: then the next look is worth it only later.
      this.#compactAt = Math.max(limits.presenceOutboxMax, Math.ceil(this.#outbox * 1.5));
    }
    if (clock.now() < this.#forgetAt) return;
    const { presenceKeepMs, presenceBatchMax } = limits;
    const { forgotten, floor } = await store.forget(presenceKeepMs, presenceBatchMax);
    this.#floor = floor;
    if (forgotten < presenceBatchMax) this.#forgetAt = clock.now() + FORGET_EVERY_MS;
  }
}

function firstOf<T>(items: Iterable<T>): T | undefined {
  for (const item of items) return item;
  return undefined;
}
