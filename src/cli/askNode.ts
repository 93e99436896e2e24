/**
 * AskNode: how a command asks a node of this machine.
 * From: the commands that do.  To: control.sock, in --run-dir or in the folder of the one
 * node that is found in TMPDIR; no broker is needed.
 * Bound: twice `questionMs` and ANSWER_MS for an answer; nothing is tried twice.
 */
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import type { Config } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import type { Limits } from '../base/limits.ts';
import { Channel, ChannelError, type NoticesByKind } from '../node/channel.ts';
import { findFolders } from '../node/folder.ts';
import { controlSocket, registrarSocket } from '../node/ipc.ts';

const ANSWER_MS = 3_000;

/** One question. */
export type Ask = (kind: string, body: unknown) => Promise<unknown>;

/**
 * Ask a node, as often as `work` likes. Rejects with a StartError when no node answers, or says why
 * it cannot, or it is not clear which one is meant. `closed`: the node has ended the connection;
 * `notices`: what it says unasked.
 */
export async function askNode<T>(
  { runDir, limits }: Pick<Config, 'runDir' | 'limits'>,
  work: (ask: Ask, closed: Promise<void>) => Promise<T>,
  notices: NoticesByKind = {},
): Promise<T> {
  const path = runDir === '' ? await findControl() : controlSocket(runDir);
  const socket = await connected(path).catch((error) => {
    throw notThere(path, error);
  });
  const channel = new Channel(socket, { limits, notices });
  const closed = new Promise<void>((resolve) => channel.whenClosed(resolve));
  try {
    return await work((kind, body) => channel.ask(kind, body, waitMs(limits)), closed);
  } catch (error) {
    if (!(error instanceof ChannelError)) throw error;
    const { why, message } = error;
    const did = why === 'failed' || why === 'bad' ? 'refuses' : 'does not answer';
    throw new StartError(EXIT.unavailable, `the node at ${path} ${did}: ${message}`);
  } finally {
    channel.close();
  }
}

/** One question, and its answer; for the rest as askNode. */
export function askOnce<Answer>(
  config: Pick<Config, 'runDir' | 'limits'>,
  kind: string,
  body: unknown,
): Promise<Answer> {
  return askNode(config, async (ask) => (await ask(kind, body)) as Answer);
}

/** The observer asks the others in turn. */
function waitMs({ questionMs }: Limits): number {
  return 2 * questionMs + ANSWER_MS;
}

/** The control.sock of this user's only node. */
async function findControl(): Promise<string> {
  const folders = findFolders();
  const found = await those(folders, controlSocket);
  const [folder] = found;
  if (found.length > 1) {
    const sentence = `several nodes run here; say which one with --run-dir: ${found.join(', ')}`;
    throw new StartError(EXIT.usage, sentence);
  }
  if (folder !== undefined) return controlSocket(folder);
  const [lonely] = await those(folders, registrarSocket);
  const why =
    lonely === undefined
      ? `no node of this user is found in ${tmpdir()}; if it was started with --run-dir, give the same one`
      : `a node runs (${lonely}), but its observer, which answers, does not: try again in a moment, or give --run-dir if another node is meant`;
  throw new StartError(EXIT.unavailable, why);
}

/** The folders in which somebody listens at this socket. */
async function those(
  folders: readonly string[],
  pathIn: (folder: string) => string,
): Promise<string[]> {
  const isThere = async (folder: string) => {
    const socket = await connected(pathIn(folder)).catch(() => undefined);
    socket?.destroy();
    return socket === undefined ? [] : [folder];
  };
  return (await Promise.all(folders.map(isThere))).flat();
}

function connected(path: string): Promise<Socket> {
  const socket = connect(path);
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('connect', () => resolve(socket));
  });
}

function notThere(path: string, error: NodeJS.ErrnoException): StartError {
  const { code = String(error) } = error;
  if (code === 'EACCES') {
    const sentence = `${path} may be used by its node's user and by root only`;
    return new StartError(EXIT.config, sentence);
  }
  const sentence = `no node answers at ${path} (${code}): is owsla serve running, with this --run-dir?`;
  return new StartError(EXIT.unavailable, sentence);
}
