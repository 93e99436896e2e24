/**
 * Reload: every child is replaced by one that runs what is on disk now; devices notice nothing.
 * From: supervisor.ts: who asks, messages of children, and their ends.
 * To: prover.ts, replace.ts; `facts`, for observer and log.
 * Bound: one at a time. Each step has an end of its own: childReadyMs for what starts, the drain's
 * time for what ends, reloadMs for links. What has been replaced stays so when a later step fails.
 *
 *   (none) --ask--> proving --> registrar --> acceptors --> observer --> done
 *                      |            |             |             |
 *                      '------------'-------------'-------------'--> refused
 *
 * Acceptors 1 to n one after another; then those that are too many: all that stay share its links.
 */
import { StartError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Trace } from '../base/trace.ts';
import type { FromChild, Succession } from '../node/ipc.ts';
import { hasReloadEnded, type ReloadFacts, reloadStep } from '../node/reloadFacts.ts';
import type { Children } from './children.ts';
import type { ChildSlot } from './childSlot.ts';
import { type Edition, makeEdition } from './edition.ts';
import type { Prove } from './prover.ts';
import { type Handle, Relay } from './relay.ts';
import { Replace } from './replace.ts';
import { livingSuccessions } from './successions.ts';
import type { UnixSockets } from './unixSockets.ts';

export interface ReloadOptions {
  readonly children: Children;
  readonly log: Logger;
  readonly prove: Prove;
  readonly sockets: UnixSockets;
  /** What the node runs. */
  readonly edition: Edition;
  /** It has been proved. A StartError refuses it. */
  readonly onProved: (next: Edition) => void;
  /** It is over: this is what the node runs. */
  readonly onDone: (edition: Edition) => void;
  readonly trace: Trace;
  /** Something has changed that others are told of. */
  readonly onChange: () => void;
}

export class Reload {
  readonly #options: ReloadOptions;
  readonly #relay = new Relay();
  readonly #replace: Replace;
  #edition: Edition;
  #facts: ReloadFacts | undefined;
  #began = 0;
  #successions: readonly Succession[] = [];

  constructor(options: ReloadOptions) {
    const { children, log, onChange, edition, trace } = options;
    this.#options = options;
    this.#edition = edition;
    this.#replace = new Replace({
      ...{ children, log, onChange },
      onStep: (facts) => this.#note(facts),
      onSuccession: (one) => {
        // One that is there already takes a surplus one's links by Join. No trace has that: there
        // each has one heir, here several.
        const isNew = children.find(one.by)?.state === 'starting';
        // tla: Presence!SuccessorStart
        if (isNew) trace('SuccessorStart', { acceptor: one.by, of: one.of });
        this.#successions = [...this.#successions, one];
        onChange();
      },
    });
  }

  /** Undefined: there was none. */
  get facts(): ReloadFacts | undefined {
    const facts = this.#facts;
    if (facts === undefined || hasReloadEnded(facts)) return facts;
    return { ...facts, ms: this.#ms() };
  }

  get successions(): readonly Succession[] {
    return this.#successions;
  }

  get isRunning(): boolean {
    return this.#facts !== undefined && !hasReloadEnded(this.#facts);
  }

  /** Begins one, unless one is under way already. */
  ask(by: string): void {
    const { log } = this.#options;
    if (this.isRunning) {
      log.warn({ by, under: this.#facts?.by }, 'a reload is under way already');
      return;
    }
    this.#began = performance.now();
    const { number: before = 0, refusals = 0 } = this.#facts ?? {};
    const number = before + 1;
    const figures = { moved: 0, left: 0, drained: 0, ms: 0 };
    this.#facts = { number, refusals, phase: 'proving', by, ...figures, startedAt: Date.now() };
    log.info({ by, reload: number }, 'reload: proving what is on disk');
    this.#options.onChange();
    this.#replace.begin();
    void this.#run();
  }

  async #run(): Promise<void> {
    const { prove, onProved, onDone } = this.#options;
    try {
      const { entry, config } = await prove(this.#edition.config);
      this.#replace.goOn();
      const next = makeEdition(entry, config);
      onProved(next);
      this.#note({ phase: 'registrar' });
      await this.#replace.helper('registrar', next);
      await this.#acceptors(next);
      this.#replace.goOn();
      this.#note({ phase: 'observer' });
      await this.#replace.helper('observer', next);
      this.#replace.goOn();
      this.#edition = next;
      this.#end({ phase: 'done' });
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      this.#end({ phase: 'refused', why: error.message });
    }
    onDone(this.#edition);
    this.#options.onChange();
  }

  async #acceptors(next: Edition): Promise<void> {
    const { acceptors } = next.config;
    const { children } = this.#options;
    for (let index = 1; index <= acceptors; index += 1) {
      this.#replace.goOn();
      this.#note({ phase: 'acceptors', acceptor: index, acceptors, step: 'starting' });
      const old = children.acceptors.find((slot) => slot.index === index);
      if (old === undefined) await this.#replace.oneMore(index, next);
      else await this.#replace.acceptor(old, next);
    }
    const surplus = children.acceptors.filter(({ index }) => index > acceptors);
    for (const slot of surplus) await this.#replace.surplus(slot, next);
  }

  #note(facts: Partial<ReloadFacts>): void {
    if (this.#facts === undefined) return;
    const before = reloadStep(this.#facts);
    const { moved = 0, left = 0, drained = 0, ...rest } = facts;
    this.#facts = {
      ...this.#facts,
      ...rest,
      moved: this.#facts.moved + moved,
      left: this.#facts.left + left,
      drained: this.#facts.drained + drained,
    };
    const step = reloadStep(this.#facts);
    if (step !== before && !hasReloadEnded(this.#facts)) {
      this.#options.log.info({ reload: this.#facts.number, ms: this.#ms() }, `reload: ${step}`);
    }
    this.#options.onChange();
  }

  #end(end: Pick<ReloadFacts, 'phase' | 'why'>): void {
    const { log } = this.#options;
    const refusals = (this.#facts?.refusals ?? 0) + (end.why === undefined ? 0 : 1);
    this.#note({ ...end, refusals, ms: this.#ms() });
    const { number, by, moved, left, drained, ms } = this.#facts as ReloadFacts;
    const facts = { audit: 'reload', by, reload: number, moved, left, drained, ms };
    if (end.why === undefined) log.info(facts, 'reload done');
    else log.error({ ...facts, reason: end.why }, 'reload refused');
  }

  #ms(): number {
    return Math.round(performance.now() - this.#began);
  }

  /** A word that concerns a reload. */
  onMessage(slot: ChildSlot, message: FromChild, handle: unknown): void {
    const { children } = this.#options;
    if (message.type === 'pass') {
      this.#relay.pass(message, handle as Handle | undefined, children.find(message.to));
    } else if (message.type === 'moved') {
      slot.deed = message;
    } else if (message.type === 'loaded') {
      slot.deed = 'loaded';
    } else if (message.type === 'given') {
      this.#replace.onGiven(slot, handle as Handle | undefined);
    }
    this.#replace.look();
  }

  /**
   * After an end that was seen. True: no other process comes for it, or a successor does.
   * `incarnation`: of the process that has ended.
   */
  onEnded(slot: ChildSlot, incarnation: string): boolean {
    const { children, sockets, onChange } = this.#options;
    this.#relay.onEnded(slot);
    const others = this.#successions.flatMap(({ of, by }) =>
      of === incarnation ? [by] : by === incarnation ? [of] : [],
    );
    for (const other of others) {
      const there = children.find(other);
      if (there?.process?.connected) {
        // A predecessor has closed its Unix sockets by then, and listens again.
        if (this.#wasOnlySuccessor(incarnation, other)) sockets.give(there);
        there.process.send({ type: 'gone', acceptor: incarnation }, () => {});
      }
    }
    const isOurs = this.#replace.onEnded(slot);
    const isAlive = (one: string) => children.find(one) !== undefined;
    this.#successions = livingSuccessions(this.#successions, isAlive);
    if (isOurs) onChange();
    return isOurs;
  }

  #wasOnlySuccessor(by: string, of: string): boolean {
    const successors = this.#successions.filter((one) => one.of === of).map((one) => one.by);
    const { children } = this.#options;
    const isLeft = (one: string) => one !== by && children.find(one) !== undefined;
    return successors.includes(by) && !successors.some(isLeft);
  }

  /** A child that it has put there does not work. */
  onWentBack(slot: ChildSlot): void {
    if (this.isRunning) this.#replace.onWentBack(slot);
  }

  /** A child is ready, or time has gone by. */
  look(): void {
    this.#replace.look();
  }

  /** The node stops: whatever is under way ends with it. */
  stop(): void {
    this.#replace.stop();
  }
}
