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
import { ADMIN_SOCKET } from '../node/ipc.ts';
import type { ReloadFacts } from '../node/reloadFacts.ts';
import type { Children } from './children.ts';
import { type ChildSlot, hasEnded, makeSlot, nameOf, notify } from './childSlot.ts';
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

/** A predecessor whose links move to a successor that has taken its place. */
interface Move {
  readonly from: ChildSlot;
  readonly to: ChildSlot;
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

  /** The acceptor of this index, and those of before whose place in the node it takes. */
  async acceptor(index: number, next: Edition): Promise<void> {
    const { children, onSuccession } = this.#options;
    const old = children.acceptors[index - 1] as ChildSlot;
    const isSurplus = (one: ChildSlot) =>
      one.index > next.config.acceptors && (one.index - 1) % next.config.acceptors === index - 1;
    const others = children.acceptors.filter(isSurplus);
    for (const one of [old, ...others]) if (one.state !== 'ready') await this.#endFirst(one);
    const froms = [old].filter(({ state }) => state === 'ready');
    const { restarts } = old;
    const slot = this.#beside(makeSlot('acceptor', index, next, { isSuccessor: true, restarts }));
    this.#ours.add(old);
    const [first] = froms;
    const special = first?.incarnation === undefined ? {} : { successorOf: first.incarnation };
    children.fork(slot, special, (by) => {
      for (const { incarnation: of } of froms) if (of !== undefined) onSuccession({ of, by });
    });
    await this.#untilReady(slot);
    if (hasEnded(slot)) {
      this.#ours.delete(old);
      if (hasEnded(old)) children.fork(old);
      this.#refuse(slot);
    }
    this.#ours.delete(slot);
    children.beside.delete(slot);
    this.#put(slot);
    putOnTrial(slot, old.edition);
    for (const from of froms) await this.#moveLinks({ from, to: slot });
    for (const one of others) await this.#endSurplus(one);
    for (const one of [old, ...others]) this.#forget(one);
  }

  /** It has no links and listens nowhere, or not yet. */
  async #endFirst(slot: ChildSlot): Promise<void> {
    this.#ours.add(slot);
    this.#options.children.drain(slot);
    await this.#until(() => hasEnded(slot));
  }

  /** An acceptor knows one predecessor: links of others get BYE `draining`, and come back. */
  async #endSurplus(slot: ChildSlot): Promise<void> {
    const { links = 0 } = slot.figures;
    this.#options.onStep({ acceptor: slot.index, step: 'ending', drained: links });
    this.#setAside(slot);
    await this.#endFirst(slot);
  }

  async #moveLinks(move: Move): Promise<void> {
    const { from, to } = move;
    const { children, onStep, log } = this.#options;
    if (hasEnded(from) || to.incarnation === undefined) return;
    this.#move = move;
    this.#ours.add(from);
    this.#setAside(from);
    onStep({ acceptor: from.index, step: 'moving' });
    const { moveWindow, reloadQuietMs, reloadMs, reloadRetryMs, childReadyMs } =
      to.edition.config.limits;
    const times = { quietMs: reloadQuietMs, moveMs: reloadMs, retryMs: reloadRetryMs };
    notify(from, { type: 'move', to: to.incarnation, window: moveWindow, ...times });
    const until = performance.now() + reloadMs + reloadRetryMs + childReadyMs;
    const isLate = () => performance.now() > until;
    const isOver = () => hasEnded(from) || hasEnded(to) || to.process === undefined;
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
        `the new ${nameOf(to)} ended while links moved to it: those that it had are lost, all others stay where they are`,
      );
    }
    children.beside.delete(from);
    this.#ours.delete(from);
  }

  /** An acceptor that was not there before. */
  async oneMore(index: number, next: Edition): Promise<void> {
    const { children } = this.#options;
    const slot = this.#beside(makeSlot('acceptor', index, next, { isSuccessor: true }));
    children.fork(slot);
    await this.#untilReady(slot);
    if (hasEnded(slot)) this.#refuse(slot);
    this.#ours.delete(slot);
    children.beside.delete(slot);
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
    if (slot === move?.to && move.from.state === 'ready') {
      // The predecessor goes on: of the links that have moved none is left.
      children.beside.delete(move.from);
      this.#ours.delete(move.from);
      isOurs = move.from.index === slot.index;
      this.#put(move.from);
    }
    children.beside.delete(slot);
    this.look();
    return isOurs;
  }
}
