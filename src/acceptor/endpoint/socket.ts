/**
 * Socket: the events of a device's socket, handed to the endpoint that owns it.
 * From: net.Socket's events.  To: Endpoint.
 * Bound: four listeners for all links, no closure for each; one chunk in a socket that is paused.
 */
import { Socket, type SocketConstructorOpts } from 'node:net';
import type { Endpoint } from './endpoint.ts';

/** An accepted socket that knows its endpoint, so that the listeners below serve all links. */
interface OwnedSocket extends Socket {
  endpoint: Endpoint;
  readonly _readableState: { highWaterMark: number };
}

/**
 * What Node does at the FIN of any socket, which is nothing where it may stay half open. With ours
 * there would be two listeners: a list of 104 bytes for each link.
 */
const NODES_OWN = new Socket().listeners('end') as (() => void)[];

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
  if (socket.allowHalfOpen) for (const listener of NODES_OWN) socket.off('end', listener);
  socket.on('data', onData);
  socket.on('end', onFin);
  socket.on('close', onSocketClose);
  socket.on('error', onSocketError);
}

/** libuv's handle of a socket: what passes to another process. */
export interface SocketHandle {
  reading: boolean;
  readStart(): number;
  readStop(): number;
  close(): void;
}

interface NodeSocket {
  readonly _handle?: SocketHandle | null;
  readonly _readableState: { readonly ended: boolean };
}

interface Stopped {
  readonly handle: SocketHandle;
  readonly unread: Buffer;
}

/**
 * Read no more: what comes stays in the kernel, for whoever reads next. Gives what Node has read
 * already and nobody has handled; undefined when the device's FIN was read, or the socket is gone.
 */
export function stopReading(socket: Socket): Stopped | undefined {
  const { _handle: handle, _readableState: readable } = socket as Socket & NodeSocket;
  if (!handle || readable.ended) return undefined;
  socket.pause();
  const unread = (socket.readableLength > 0 ? socket.read() : null) as Buffer | null;
  // `read` begins to read again.
  handle.reading = false;
  handle.readStop();
  return { handle, unread: unread ?? Buffer.alloc(0) };
}

/** After `stopReading`, or of `socketOf`: by its own means Node would not begin again. */
export function startReading(socket: Socket): void {
  const { _handle: handle } = socket as Socket & NodeSocket;
  if (!handle || handle.reading) return;
  handle.reading = true;
  handle.readStart();
}

/** A socket of a handle that came from another process, with a listener's options, not read. */
export function socketOf(handle: SocketHandle, highWaterMark: number): Socket {
  const options = { handle, allowHalfOpen: true, manualStart: true, highWaterMark };
  const socket = new Socket(options as unknown as SocketConstructorOpts);
  socket.pause();
  return socket;
}
