/**
 * Replace: one child replaced by another that is proved to start, while the rest of the node works.
 * From: reload.ts, one after another; ends and words of children.
 * To: children.ts; the predecessor, which is told to move its links, or to end.
 * Bound: what starts has childReadyMs, what ends the time of a drain, both by children.ts; links
 * have reloadMs, and what follows from it. Rejects with a StartError when the successor fails; the
 * predecessor goes on, or its edition is started again.
 */
import { EXIT, StartError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { MS_PER_MOVE } from '../node/drain.ts';
import { ADMIN_SOCKET } from '../node/ipc.ts';
import type { ReloadFacts } from '../node/reloadFacts.ts';
import type { Children } from './children.ts';
import { type ChildSlot, hasEnded, makeSlot, nameOf, notify, servesNow } from './childSlot.ts';
import type { Edition } from './edition.ts';
import type { Handle } from './relay.ts';
import { putOnTrial } from './restarts.ts';
import { sendSocket } from './unixSockets.ts';

export interface ReplaceOptions {
  readonly children: Children;
  readonly log: Logger;
  readonly onStep: (facts: Partial<ReloadFacts>) => void;
  readonly onSuccession: (one: { readonly of: string; readonly by: string }) => void;
  readonly onChange: () => void;
}

/** A predecessor whose links move: to a successor in its place, or to all that stay. */
interface Move {
  readonly from: ChildSlot;
  /** Those that have not ended. */
  readonly to: Set<ChildSlot>;
}

/** Of the admin pages. */
function isSamePlace(before: Edition, next: Edition): boolean {
  const { adminHost, adminPort } = before.config;
  return adminHost === next.config.adminHost && adminPort === next.config.adminPort;
}

const STOPPING = 'the node is stopping';

export class Replace {
  readonly #options: ReplaceOptions;
  /** No other process comes when these end: a successor is there, or the reload sees to it. */
  readonly #ours = new Set<ChildSlot>();
  /** What the reload waits for: one thing at a time. */
  #waiting:
    | { readonly isDone: () => boolean; readonly settle: (error?: Error) => void }
    | undefined;
  #move: Move | undefined;
  #isStopping = false;
  /** Why it does not go on. */
  #failed: StartError | undefined;
  /** The observer's listening socket, while nobody listens on it. */
  #given: Handle | undefined;

  constructor(options: ReplaceOptions) {
    this.#options = options;
  }

  begin(): void {
    this.#failed = undefined;
  }

  /** Throws when there is no use in it any more. */
  goOn(): void {
    if (this.#isStopping) throw new StartError(EXIT.unavailable, STOPPING);
    if (this.#failed !== undefined) throw this.#failed;
  }

  /** What was put there ended, again and again, and what ran before it is there again. */
  onWentBack(slot: ChildSlot): void {
    const sentence = `the new ${nameOf(slot)} ended soon after it had begun: what ran before it is started again`;
    this.#failed = new StartError(EXIT.crashed, sentence);
    this.look();
  }

  stop(): void {
    this.#isStopping = true;
    this.look();
  }

  /** Something has changed, or time has gone by. */
  look(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    if (!this.#isStopping && !waiting.isDone()) return;
    this.#waiting = undefined;
    waiting.settle(this.#isStopping ? new StartError(EXIT.unavailable, STOPPING) : undefined);
  }

  #until(isDone: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: Error) => (error === undefined ? resolve() : reject(error));
      this.#waiting = { isDone, settle };
      this.look();
    });
  }

  /** Or ended: one that waits for others has no longer than any. Heartbeats do not help it. */
  async #untilReady(slot: ChildSlot): Promise<void> {
    const until = performance.now() + slot.edition.config.limits.childReadyMs;
    const isLate = () => performance.now() > until || this.#failed !== undefined;
    await this.#until(() => slot.state !== 'starting' || isLate());
    if (slot.state === 'starting') this.#options.children.kill(slot, 'late');
    await this.#until(() => slot.state === 'ready' || hasEnded(slot));
  }

  /** Registrar or observer: the new one is loaded, the old one ends, the new one begins. */
  async helper(role: 'registrar' | 'observer', next: Edition): Promise<void> {
    const { children } = this.#options;
    const old = children[role];
    const { restarts } = old;
    const slot = this.#beside(makeSlot(role, 0, next, { isSuccessor: true, restarts }));
    children.fork(slot, { isWaiting: true });
    await this.#until(() => slot.deed === 'loaded' || hasEnded(slot));
    if (hasEnded(slot)) this.#refuse(slot);
    if (role === 'observer' && isSamePlace(old.edition, next)) await this.#take(old);
    this.#ours.add(old);
    children.drain(old);
    await this.#until(() => hasEnded(old));
    if (!hasEnded(slot)) {
      children[role] = slot;
      children.beside.delete(slot);
      this.#begin(slot);
      await this.#untilReady(slot);
    }
    this.#ours.delete(old);
    this.#ours.delete(slot);
    if (hasEnded(slot)) this.#takeBack(role, old, slot);
    putOnTrial(slot, old.edition);
    this.#given?.close();
    this.#given = undefined;
  }

  #begin(slot: ChildSlot): void {
    this.#give(slot);
    slot.deed = 'none';
    slot.startedAt = performance.now();
    // It knows the node when it begins.
    this.#options.onChange();
    notify(slot, { type: 'begin' });
  }

  #give(slot: ChildSlot): void {
    if (slot.role === 'observer' && this.#given) sendSocket(slot, ADMIN_SOCKET, this.#given);
  }

  /** The old edition again: it worked. */
  #takeBack(role: 'registrar' | 'observer', old: ChildSlot, slot: ChildSlot): never {
    const { children } = this.#options;
    children[role] = old;
    children.fork(old, {}, () => this.#give(old));
    this.#given?.close();
    this.#given = undefined;
    return this.#refuse(slot);
  }

  /** Its listening socket, so that whoever connects meanwhile waits, and is not refused. */
  async #take(observer: ChildSlot): Promise<void> {
    if (observer.state !== 'ready') return;
    notify(observer, { type: 'give' });
    const until = performance.now() + observer.edition.config.limits.childReadyMs;
    const isLate = () => performance.now() > until;
    await this.#until(() => observer.deed === 'given' || hasEnded(observer) || isLate());
  }

  onGiven(observer: ChildSlot, handle: Handle | undefined): void {
    observer.deed = 'given';
    this.#given?.close();
    this.#given = handle;
  }

  /** An acceptor that is there. */
  async acceptor(old: ChildSlot, next: Edition): Promise<void> {
    const { children, onSuccession } = this.#options;
    if (old.state !== 'ready') await this.#endFirst(old);
    const { index, restarts } = old;
    const slot = this.#beside(makeSlot('acceptor', index, next, { isSuccessor: true, restarts }));
    this.#ours.add(old);
    const of = old.state === 'ready' ? old.incarnation : undefined;
    const special = of === undefined ? {} : { successorOf: of };
    children.fork(slot, special, (by) => {
      if (of !== undefined) onSuccession({ of, by });
    });
    await this.#untilReady(slot);
    if (hasEnded(slot)) {
      this.#ours.delete(old);
      if (hasEnded(old)) children.fork(old);
      this.#refuse(slot);
    }
    this.#put(slot);
    putOnTrial(slot, old.edition);
    if (of !== undefined) await this.#moveLinks({ from: old, to: new Set([slot]) });
    this.#forget(old);
  }

  /** One that the config does not ask for any more: those that stay share its links. */
  async surplus(slot: ChildSlot, { config }: Edition): Promise<void> {
    const { children, onSuccession } = this.#options;
    const stays = ({ index, state }: ChildSlot) => index <= config.acceptors && state === 'ready';
    // Links move only to processes that started later.
    const isHeir = (one: ChildSlot) => stays(one) && one.startedAt > slot.startedAt;
    const heirs = children.acceptors.filter(isHeir);
    const of = slot.incarnation;
    if (slot.state !== 'ready' || of === undefined || heirs.length === 0) {
      await this.#endFirst(slot);
    } else {
      for (const { incarnation: by } of heirs) if (by !== undefined) onSuccession({ of, by });
      // The registrar was told before any of them can say a word of these links.
      for (const heir of heirs) notify(heir, { type: 'follow', of });
      await this.#moveLinks({ from: slot, to: new Set(heirs) });
    }
    this.#forget(slot);
  }

  /** It has no links and listens nowhere, or not yet. */
  async #endFirst(slot: ChildSlot): Promise<void> {
    this.#ours.add(slot);
    this.#options.children.drain(slot);
    await this.#until(() => hasEnded(slot));
  }

  async #moveLinks(move: Move): Promise<void> {
    const { from, to } = move;
    const { children, onStep, log } = this.#options;
    const names = [...to].map(nameOf).join(', ');
    const isOver = () => hasEnded(from) || to.size === 0;
    if (isOver()) return;
    this.#move = move;
    const until = this.#sendMove(move);
    const isLate = () => performance.now() > until;
    await this.#until(() => typeof from.deed === 'object' || isOver() || isLate());
    if (typeof from.deed === 'object') {
      const { moved, left, drained, ms } = from.deed.figures;
      log.info({ child: nameOf(from), moved, left, drained, ms }, 'reload: links have moved');
      onStep({ moved, left, drained, step: 'ending' });
    }
    if (!isOver()) children.drain(from);
    await this.#until(isOver);
    this.#move = undefined;
    if (!hasEnded(from)) {
      throw new StartError(
        EXIT.crashed,
        `the new ${names} ended while links moved to it: those that it had are lost, all others stay where they are`,
      );
    }
  }

  /** Gives the time by which the predecessor has to be done. */
  #sendMove({ from, to }: Move): number {
    this.#ours.add(from);
    this.#setAside(from);
    this.#options.onStep({ acceptor: from.index, step: 'moving' });
    const [first] = to;
    const { limits } = (first ?? from).edition.config;
    const { moveWindow: window, reloadQuietMs, reloadMs, reloadRetryMs, childReadyMs } = limits;
    const times = { quietMs: reloadQuietMs, moveMs: reloadMs, retryMs: reloadRetryMs };
    const names = [...to].flatMap(({ incarnation }) => incarnation ?? []);
    notify(from, { type: 'move', to: names, window, ...times });
    // All are looked at once; then busy ones are waited for.
    const movesMs = (from.figures.links ?? 0) * MS_PER_MOVE + 2 * reloadMs;
    return performance.now() + movesMs + reloadRetryMs + childReadyMs;
  }

  /** An acceptor that was not there before. */
  async oneMore(index: number, next: Edition): Promise<void> {
    const { children } = this.#options;
    const slot = this.#beside(makeSlot('acceptor', index, next, { isSuccessor: true }));
    const there = children.acceptors.filter(servesNow);
    const joins = there.flatMap(({ incarnation }) => incarnation ?? []);
    children.fork(slot, joins.length === 0 ? {} : { joins });
    await this.#untilReady(slot);
    if (hasEnded(slot)) this.#refuse(slot);
    this.#put(slot);
  }

  #beside(slot: ChildSlot): ChildSlot {
    this.#options.children.beside.add(slot);
    this.#ours.add(slot);
    return slot;
  }

  /** It takes new links: nobody else of this index does. */
  #put(slot: ChildSlot): void {
    const { children, onChange } = this.#options;
    children.beside.delete(slot);
    this.#ours.delete(slot);
    for (const one of children.acceptors) if (one.index === slot.index) children.beside.add(one);
    const others = children.acceptors.filter(({ index }) => index !== slot.index);
    children.acceptors = [...others, slot].sort((a, b) => a.index - b.index);
    onChange();
  }

  #setAside(slot: ChildSlot): void {
    const { children } = this.#options;
    children.beside.add(slot);
    children.acceptors = children.acceptors.filter((one) => one !== slot);
  }

  #forget(slot: ChildSlot): void {
    const { children } = this.#options;
    this.#setAside(slot);
    children.beside.delete(slot);
    this.#ours.delete(slot);
  }

  #refuse(slot: ChildSlot): never {
    this.#ours.delete(slot);
    this.#options.children.beside.delete(slot);
    this.goOn();
    const { fatal, lastWords, killedFor } = slot;
    const killed = killedFor === undefined ? undefined : `it was ${killedFor}`;
    const why = fatal?.message ?? lastWords?.message ?? killed ?? 'the log says why';
    throw new StartError(EXIT.crashed, `the new ${nameOf(slot)} did not start: ${why}`);
  }

  /** True: nobody else brings another process. */
  onEnded(slot: ChildSlot): boolean {
    const { children } = this.#options;
    const move = this.#move;
    let isOurs = this.#ours.has(slot);
    const wasLast = move?.to.delete(slot) === true && move.to.size === 0;
    if (move && wasLast && move.from.state === 'ready') {
      // The predecessor goes on: of the links that have moved none is left.
      isOurs = move.from.index === slot.index;
      this.#put(move.from);
    }
    children.beside.delete(slot);
    this.look();
    return isOurs;
  }
}
