/**
 * Socket: the events of a device's socket, handed to the endpoint that owns it.
 * From: net.Socket's events.  To: Endpoint.
 * Bound: four listeners for all links, no closure for each; one chunk in a socket that is paused.
 */
import type { Socket } from 'node:net';
import type { Endpoint } from './endpoint.ts';

/** An accepted socket that knows its endpoint, so that the listeners below serve all links. */
interface OwnedSocket extends Socket {
  endpoint: Endpoint;
  readonly _readableState: { highWaterMark: number };
}

function onData(this: OwnedSocket, chunk: Buffer): void {
  this.endpoint.receive(chunk);
}
function onFin(this: OwnedSocket): void {
  this.endpoint.receiveFin();
}
function onSocketClose(this: OwnedSocket): void {
  this.endpoint.closed();
}
/** A broken connection; 'close' always follows and is where it is handled. */
function onSocketError(): void {}

/** `endpoint` gets all events from now on. */
export function listenTo(socket: Socket, endpoint: Endpoint): void {
  const owned = socket as OwnedSocket;
  owned.endpoint = endpoint;
  // A paused socket reads on up to its high-water mark: with 1, it stops after any chunk.
  owned._readableState.highWaterMark = 1;
  socket.on('data', onData);
  socket.on('end', onFin);
  socket.on('close', onSocketClose);
  socket.on('error', onSocketError);
  // The listener hands sockets over unread.
  socket.resume();
}
