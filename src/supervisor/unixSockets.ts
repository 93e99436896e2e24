/**
 * UnixSockets: the sockets that all acceptors accept from, bound once and never listened on here.
 * From: supervisor.ts, at the start and at a reload.
 * To: each acceptor, by its channel, before it starts.
 * Bound: one per Unix listener of the config. Closing one removes its file.
 *
 * SO_REUSEPORT shares no Unix socket. One that is bound can be listened on by many processes: they
 * accept from one queue, and each as long as it has room.
 */
import type { SendHandle } from 'node:child_process';
import { chmodSync } from 'node:fs';
import * as net from 'node:net';
import { getSystemErrorName } from 'node:util';
import { exitOfSystem, StartError } from '../base/errors.ts';
import type { ListenerConfig } from '../base/listeners.ts';
import type { ChildSlot } from './childSlot.ts';
import type { Handle } from './relay.ts';

/** How `node:cluster` binds sockets for others; it is not in the types. */
type Bind = (path: string, port: -1, addressType: -1) => Handle | number;
const bind = (net as unknown as { readonly _createServerHandle: Bind })._createServerHandle;

/** By name, to a process that is told to start, or to begin, after this. */
export function sendSocket({ process }: ChildSlot, name: string, handle: Handle): void {
  if (!process?.connected) return;
  process.send({ type: 'socket', name }, handle as unknown as SendHandle, {}, () => {});
}

export class UnixSockets {
  /** By path. */
  readonly #bound = new Map<string, Handle>();

  /** Throws a StartError when one cannot be bound. */
  constructor(listeners: readonly ListenerConfig[]) {
    try {
      this.add(listeners);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Those that are not there yet. Throws a StartError when one cannot be bound. */
  add(listeners: readonly ListenerConfig[]): void {
    for (const { unix, mode } of listeners) {
      if (unix === '' || this.#bound.has(unix)) continue;
      const handle = bind(unix, -1, -1);
      if (typeof handle === 'number') {
        const code = getSystemErrorName(handle);
        throw new StartError(exitOfSystem(code), `no socket can be made at ${unix} (${code})`);
      }
      // Nobody listens yet, so nobody can connect before this.
      chmodSync(unix, mode);
      this.#bound.set(unix, handle);
    }
  }

  /** Close all others. */
  keep(listeners: readonly ListenerConfig[]): void {
    for (const [path, handle] of this.#bound) {
      if (listeners.some(({ unix }) => unix === path)) continue;
      handle.close();
      this.#bound.delete(path);
    }
  }

  /** An acceptor gets all of its listeners before anything else. */
  give(slot: ChildSlot): void {
    if (slot.role !== 'acceptor') return;
    for (const { name, unix } of slot.edition.config.listeners) {
      const handle = this.#bound.get(unix);
      if (handle !== undefined) sendSocket(slot, name, handle);
    }
  }

  close(): void {
    for (const handle of this.#bound.values()) handle.close();
    this.#bound.clear();
  }
}
