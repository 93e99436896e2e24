/**
 * Places: proves that everything the node listens on can be listened on, before a child is forked.
 * From: preflight.ts, with the config's listeners.  To: the same with real ports; one StartError.
 * Bound: of what is proved nothing stays open; a port that was picked keeps one file, by which
 * other nodes know that it is taken. What a crash left at a Unix socket's path is removed.
 */
import { randomInt } from 'node:crypto';
import { accessSync, constants, lstatSync, rmSync } from 'node:fs';
import { connect, createServer, type ListenOptions } from 'node:net';
import { dirname } from 'node:path';
import { EXIT, exitOfSystem, StartError, unbound } from '../base/errors.ts';
import type { ListenerConfig } from '../base/listeners.ts';

/**
 * Where port 0 is picked: below the ports that systems give to outgoing connections (from 32768 on
 * Linux), one of which could be taken between this check and the children's listen; above 10080,
 * the last one that browsers and `fetch` refuse (https://fetch.spec.whatwg.org/#port-blocking).
 */
const PICKED_MIN = 10_081;
const PICKED_MAX = 19_999;
const PICKS_MAX = 100;

/** The listener, with a free port for 0. Throws a StartError when it cannot listen there. */
export async function checkListener(listener: ListenerConfig): Promise<ListenerConfig> {
  if (listener.unix === '') return checkTcp(listener);
  await checkUnix(listener.unix);
  return listener;
}

async function checkTcp(listener: ListenerConfig): Promise<ListenerConfig> {
  const { name, host } = listener;
  const what = name === 'devices' ? 'port' : `port of ${name}`;
  const port = await checkPort(what, host, listener.port);
  await checkReusePort(host, port);
  return Object.freeze({ ...listener, port });
}

/** A path where a socket can be made: nothing is there, or what a crash left. */
async function checkUnix(path: string): Promise<void> {
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
    const there = lstatSync(path, { throwIfNoEntry: false });
    if (there === undefined) return;
    if (!there.isSocket()) throw new StartError(EXIT.config, `${path} is there, and no socket`);
    if (await isAnswered(path)) {
      const sentence = `another process listens on ${path}; stop that one or choose another path`;
      throw new StartError(EXIT.unavailable, sentence);
    }
    rmSync(path);
  } catch (error) {
    if (error instanceof StartError) throw error;
    const code = codeOf(error);
    throw new StartError(exitOfSystem(code), `no socket can be made at ${path} (${code})`);
  }
}

/**
 * Bind once *without* reusePort, which would hide a second server on the same port. Returns the
 * port; for 0 a free one.
 */
export async function checkPort(what: string, host: string, port: number): Promise<number> {
  for (let tries = 1; ; tries += 1) {
    const tried = port === 0 ? randomInt(PICKED_MIN, PICKED_MAX + 1) : port;
    try {
      await bind({ host, port: tried });
      if (port === 0 && !(await reservePort(tried)) && tries < PICKS_MAX) continue;
      return tried;
    } catch (error) {
      if (port === 0 && codeOf(error) === 'EADDRINUSE' && tries < PICKS_MAX) continue;
      throw unbound(`${what} ${port}`, host, error);
    }
  }
}

/**
 * False: another process on this machine has picked this port. It is not bound before the children
 * listen, and two nodes of one user would even share it then (SO_REUSEPORT). So whoever picks one
 * holds a name for it up to its end, in Linux's abstract namespace; elsewhere nothing is held.
 */
export async function reservePort(port: number): Promise<boolean> {
  const server = createServer().unref();
  return new Promise((resolve) => {
    server.once('error', (error) => resolve(codeOf(error) !== 'EADDRINUSE'));
    server.listen(`\0owsla-port-${port}`, () => resolve(true));
  });
}

async function checkReusePort(host: string, port: number): Promise<void> {
  try {
    await bind({ host, port, reusePort: true });
  } catch (error) {
    throw new StartError(
      EXIT.config,
      `this platform cannot share one port between acceptors (SO_REUSEPORT: ${codeOf(error)}); Owsla needs Linux 3.9 or later, FreeBSD 12 or later, or another system that supports it`,
    );
  }
}

async function bind(options: ListenOptions): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...options, exclusive: true }, resolve);
  });
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
}

export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

/** Somebody listens there. A file that a crash left behind is nobody. */
export async function isAnswered(path: string): Promise<boolean> {
  const socket = connect(path);
  return new Promise((resolve) => {
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
