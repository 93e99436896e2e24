/**
 * UnixSockets: the sockets that all acceptors accept from, bound once and never listened on here.
 * From: supervisor.ts, at the start.  To: each acceptor, by its channel, before it starts.
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

/** libuv's handle of a socket; `net.Server.listen` takes one. */
interface BoundHandle {
  close(): void;
}

/** How `node:cluster` binds sockets for others; it is not in the types. */
type Bind = (path: string, port: -1, addressType: -1) => BoundHandle | number;
const bind = (net as unknown as { readonly _createServerHandle: Bind })._createServerHandle;

export class UnixSockets {
  readonly #bound = new Map<string, BoundHandle>();

  /** Throws a StartError when one cannot be bound. */
  constructor(listeners: readonly ListenerConfig[]) {
    for (const { name, unix, mode } of listeners) {
      if (unix === '') continue;
      const handle = bind(unix, -1, -1);
      if (typeof handle === 'number') {
        this.close();
        const code = getSystemErrorName(handle);
        throw new StartError(exitOfSystem(code), `no socket can be made at ${unix} (${code})`);
      }
      // Nobody listens yet, so nobody can connect before this.
      chmodSync(unix, mode);
      this.#bound.set(name, handle);
    }
  }

  /** An acceptor gets all of them before anything else. */
  give({ role, process }: ChildSlot): void {
    if (role !== 'acceptor' || !process?.connected) return;
    for (const [name, handle] of this.#bound) {
      process.send({ type: 'socket', name }, handle as unknown as SendHandle, {}, () => {});
    }
  }

  close(): void {
    for (const handle of this.#bound.values()) handle.close();
    this.#bound.clear();
  }
}
