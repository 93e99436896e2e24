/**
 * AdminSocket: the listening socket of the admin pages, from one observer to the next.
 * From: observer.ts; the supervisor, which keeps the handle while nobody listens on it.
 * To: the HTTP server.
 * Bound: one. Whoever connects meanwhile waits in the kernel's queue.
 */
import type { Server } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { unbound } from '../base/errors.ts';
import { within } from '../node/drain.ts';
import type { Heard } from './heard.ts';

/** Whoever has connected asks within this time. */
const END_MS = 2_000;

/** `node:net` takes a handle of libuv, too; its types do not say so. */
type ListenOn = (handle: unknown, onListening: () => void) => void;

interface Handled {
  readonly _handle?: unknown;
}

interface Place {
  readonly host: string;
  readonly port: number;
}

interface Before {
  /** Its listening socket; undefined: there was none. */
  readonly socket?: unknown;
  readonly heard: Heard;
}

/** Resolves when it listens; rejects with a StartError. */
export async function listenAt(
  admin: FastifyInstance,
  place: Place,
  { socket, heard }: Before,
): Promise<void> {
  try {
    // Whoever asks waits in its queue until this knows as much as the one before it.
    if (socket !== undefined) await heard.all();
    if (socket === undefined) await admin.listen(place);
    else await listenOnIt(admin, socket);
  } catch (error) {
    throw unbound(`admin port ${place.port}`, place.host, error);
  }
}

async function listenOnIt(admin: FastifyInstance, socket: unknown): Promise<void> {
  await admin.ready();
  const { server } = admin;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    (server.listen as ListenOn).call(server, socket, resolve);
  });
}

/** Takes no more requests; those that have begun are answered, for END_MS at most. */
export async function closeAt(admin: FastifyInstance): Promise<void> {
  const { server } = admin;
  // Idle connections are closed at once, so that they are not asked on any more.
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  await within(END_MS, closed);
  server.closeAllConnections();
  // It does not listen any more, which is an error there.
  await admin.close().catch(() => {});
}

export function handleOf({ server }: { readonly server: Server }): unknown {
  return (server as Handled)._handle;
}
