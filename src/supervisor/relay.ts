/**
 * Relay: passes on what an acceptor and its successor say, with the handles of sockets.
 * From: reload.ts, each `pass` of an acceptor; each end of one.
 * To: the other one's channel, in order. Nothing reads or listens here.
 * Bound: acceptors say at most `moveWindow` offers at once; our copy of a handle is closed as soon
 * as it has left, or cannot leave.
 */
import type { SendHandle } from 'node:child_process';
import type { PassMessage } from '../node/ipc.ts';
import type { ChildSlot } from './childSlot.ts';

/** libuv's handle of a socket; `net.Server.listen` takes one that is bound. */
export interface Handle {
  close(): void;
}

export class Relay {
  /** By the process that they are sent to: it may end without taking them. */
  readonly #onTheirWay = new Map<ChildSlot, Set<Handle>>();

  /** `to`: undefined when that one is gone. */
  pass(message: PassMessage, handle: Handle | undefined, to: ChildSlot | undefined): void {
    if (to?.process?.connected !== true) {
      handle?.close();
      return;
    }
    if (handle === undefined) {
      to.process.send(message, () => {});
      return;
    }
    const handles = this.#onTheirWay.get(to) ?? new Set();
    this.#onTheirWay.set(to, handles.add(handle));
    to.process.send(message, handle as unknown as SendHandle, {}, () => {
      if (handles.delete(handle)) handle.close();
    });
  }

  /** It takes nothing any more. */
  onEnded(slot: ChildSlot): void {
    for (const handle of this.#onTheirWay.get(slot) ?? []) handle.close();
    this.#onTheirWay.get(slot)?.clear();
    this.#onTheirWay.delete(slot);
  }
}
