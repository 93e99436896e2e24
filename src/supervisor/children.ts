/**
 * Children: the node's slots, and the processes in them: forked, heard, watched, killed.
 * From: supervisor.ts, restarts.ts and reload.ts, which fork; messages and exits of children.
 * To: children, by IPC and SIGKILL; `onMessage` and `onEnded`; observer and registrar, which are
 * told of all.
 * Bound: childReadyMs, childSilenceMs and the drain's time for each child, then SIGKILL. Only an
 * exit that was seen counts as a child's end.
 */
import type { ChildProcess } from 'node:child_process';
import { randomUUIDv7 } from 'node:crypto';
import type { Logger } from '../base/log.ts';
import { drainTimeMs, END_MARGIN_MS } from '../node/drain.ts';
import type { FromChild, StartMessage } from '../node/ipc.ts';
import {
  type ChildSlot,
  forgive,
  forkInto,
  logFieldsOf,
  makeSlot,
  notify,
  servesDevices,
} from './childSlot.ts';
import type { Edition } from './edition.ts';
import type { Tickets } from './tickets.ts';
import type { UnixSockets } from './unixSockets.ts';

export interface ChildrenOptions {
  readonly edition: Edition;
  /** Names this start of the node. */
  readonly node: string;
  readonly folder: string;
  readonly log: Logger;
  readonly tickets: Tickets;
  readonly sockets: UnixSockets;
  readonly beforeFork: () => void;
  readonly onMessage: (slot: ChildSlot, message: FromChild, handle: unknown) => void;
  readonly onEnded: (slot: ChildSlot, end: ChildEnd) => void;
}

/** How a successor starts. */
type Special = Pick<StartMessage, 'successorOf' | 'joins' | 'isWaiting'>;

export interface ChildEnd {
  readonly child: ChildProcess;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class Children {
  observer: ChildSlot;
  registrar: ChildSlot;
  /** Those that the config asks for, by their index. */
  acceptors: readonly ChildSlot[];
  /** In a reload: those that come, or go. */
  readonly beside = new Set<ChildSlot>();
  readonly #options: ChildrenOptions;
  #tickAt = performance.now();

  constructor(options: ChildrenOptions) {
    const { edition } = options;
    this.#options = options;
    this.observer = makeSlot('observer', 0, edition);
    this.registrar = makeSlot('registrar', 0, edition);
    this.acceptors = Array.from({ length: edition.config.acceptors }, (_, at) =>
      makeSlot('acceptor', at + 1, edition),
    );
  }

  all(): readonly ChildSlot[] {
    return [this.observer, this.registrar, ...this.acceptors, ...this.beside];
  }

  /** What others hear of: helpers that wait are nobody yet. */
  told(): readonly ChildSlot[] {
    const beside = [...this.beside].filter(servesDevices);
    return [this.observer, this.registrar, ...this.acceptors, ...beside];
  }

  /** All acceptors, those beside others too. */
  serving(): readonly ChildSlot[] {
    return this.all().filter(servesDevices);
  }

  /** The one whose process this is. */
  find(incarnation: string): ChildSlot | undefined {
    return this.all().find((slot) => slot.incarnation === incarnation);
  }

  /**
   * A process in `slot`, of the slot's edition. `onNamed`: its incarnation is known, and it has not
   * been told to start.
   */
  fork(slot: ChildSlot, special: Special = {}, onNamed: (name: string) => void = () => {}): void {
    const { node, folder, log, tickets, sockets, beforeFork, onMessage } = this.#options;
    beforeFork();
    const { config, entry, kept } = slot.edition;
    const incarnation = randomUUIDv7();
    const child = forkInto(slot, entry, incarnation);
    child.on('message', (message: FromChild, handle) => onMessage(slot, message, handle));
    child.on('error', (error) => {
      log.error({ ...logFieldsOf(slot), err: error }, 'child channel failed');
      if (child.pid === undefined) this.#onEnded(slot, { child, code: null, signal: null });
    });
    // Not 'exit': its last messages may still be in the channel then. And not 'disconnect', which
    // does not come when it has died without acknowledging a handle.
    child.on('close', (code, signal) => this.#onEnded(slot, { child, code, signal }));
    const { role, index } = slot;
    onNamed(incarnation);
    sockets.give(slot);
    const names = { role, index, incarnation, node };
    const files: StartMessage['kept'] = role === 'acceptor' ? kept.look() : {};
    const start = { ...names, folder, ...tickets.secretsFor(role), kept: files };
    notify(slot, { type: 'start', config, ...start, ...special });
  }

  #onEnded(slot: ChildSlot, end: ChildEnd): void {
    if (slot.process === end.child) this.#options.onEnded(slot, end);
  }

  /** End gracefully; what is not there yet will not come. */
  drain(slot: ChildSlot): void {
    clearTimeout(slot.pause);
    if (slot.state === 'pausing') slot.state = 'ended';
    if (slot.state !== 'starting' && slot.state !== 'ready') return;
    slot.state = 'stopping';
    const { limits } = slot.edition.config;
    slot.stopBy = performance.now() + drainTimeMs(limits) + 2 * END_MARGIN_MS;
    notify(slot, { type: 'drain' });
  }

  /** Every `heartbeatChildMs`: kill those that are beyond their time. */
  tick(now: number, everyMs: number): void {
    // Time in which this process itself did not run does not count as a child's silence.
    const lateMs = now - this.#tickAt - everyMs;
    this.#tickAt = now;
    if (lateMs > everyMs) forgive(this.all(), lateMs);
    for (const slot of this.all()) {
      this.#checkDeadline(slot, now);
      if (slot.before !== undefined && now > slot.before.until) slot.before = undefined;
    }
  }

  #checkDeadline(slot: ChildSlot, now: number): void {
    const { childReadyMs, childSilenceMs } = slot.edition.config.limits;
    const { state, startedAt, seenAt, stopBy } = slot;
    // One with heartbeats waits for others: killing it would not bring them.
    const aliveAt = Math.max(startedAt, seenAt);
    const isBusy = state === 'starting' && slot.deed !== 'loaded';
    if (isBusy && now - aliveAt > childReadyMs) this.kill(slot, 'late');
    if (state === 'ready' && now - seenAt > childSilenceMs) this.kill(slot, 'silent');
    if (state === 'stopping' && now > stopBy) this.kill(slot, 'overrun');
  }

  /** Its end is seen later. */
  kill(slot: ChildSlot, reason: 'late' | 'silent' | 'overrun'): void {
    const silentMs = Math.round(performance.now() - slot.seenAt);
    this.#options.log.error({ ...logFieldsOf(slot), reason, silentMs }, 'killing child');
    slot.state = 'killed';
    slot.killedFor = reason;
    slot.process?.kill('SIGKILL');
  }

  /** At once, without a word. */
  killAll(): void {
    for (const slot of this.all()) slot.process?.kill('SIGKILL');
  }

  /** No pause brings another process. */
  clearPauses(): void {
    for (const slot of this.all()) clearTimeout(slot.pause);
  }
}
