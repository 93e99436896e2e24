/**
 * OwnedSocket: an accepted socket that knows its owner, so that the same listeners serve all links.
 * From: the socket's events.  To: the endpoint that owns it.
 * Bound: no closure for any link; a fleet pays for one property each.
 */
import type { Socket } from 'node:net';

export interface SocketOwner {
  receive(chunk: Buffer): void;
  receiveFin(): void;
  /** The socket is gone. */
  closed(): void;
  /** It takes bytes again. */
  wake(): void;
}

export interface OwnedSocket extends Socket {
  owner: SocketOwner;
}

function onData(this: OwnedSocket, chunk: Buffer): void {
  this.owner.receive(chunk);
}
function onFin(this: OwnedSocket): void {
  this.owner.receiveFin();
}
function onClose(this: OwnedSocket): void {
  this.owner.closed();
}
function onDrain(this: OwnedSocket): void {
  this.owner.wake();
}
/** A broken connection; 'close' always follows and is where it is handled. */
function onError(): void {}

/** Have `owner` hear of all that happens to `socket`, and read it: the listener has not. */
export function own(socket: Socket, owner: SocketOwner): OwnedSocket {
  const owned = socket as OwnedSocket;
  owned.owner = owner;
  socket.on('data', onData);
  socket.on('end', onFin);
  socket.on('close', onClose);
  socket.on('error', onError);
  socket.resume();
  return owned;
}

/** The owner is woken once the socket takes bytes again. */
export function awaitDrain(socket: OwnedSocket): void {
  if (socket.listenerCount('drain') === 0) socket.once('drain', onDrain);
}
