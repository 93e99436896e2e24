/**
 * AskNode: how a command asks a node of this machine.
 * From: the commands that do.  To: control.sock, in --run-dir or in the folder of the one
 * node that is found in TMPDIR; no broker is needed.
 * Bound: twice `questionMs` and ANSWER_MS for an answer. An observer that is being
 * replaced is waited for, for AWAY_MS; what nobody has read is asked again, TRIES_MAX times.
 */
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import type { Config } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import type { Limits } from '../base/limits.ts';
import type { Channel, NoticesByKind } from '../node/channel.ts';
import { findFolders } from '../node/folder.ts';
import { controlSocket, registrarSocket } from '../node/ipc.ts';

const ANSWER_MS = 3_000;
const AWAY_MS = 5_000;
/** Between the file of one and that of the next. */
const NEXT_FILE_MS = 100;
const AGAIN_MS = 50;

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
  // Other commands have this file too, and need no channel.
  const { ChannelError } = await import('../node/channel.ts');
  const path = runDir === '' ? await findControl() : controlSocket(runDir);
  const line = new Line(path, limits, notices);
  await line.connect();
  try {
    return await work((kind, body) => line.ask(kind, body), line.closed);
  } catch (error) {
    if (!(error instanceof ChannelError)) throw error;
    const { why, message } = error;
    const did = why === 'failed' || why === 'bad' ? 'refuses' : 'does not answer';
    throw new StartError(EXIT.unavailable, `the node at ${path} ${did}: ${message}`);
  } finally {
    line.close();
  }
}

/** The kernel says so when nobody has read what was sent, and nobody will. */
const UNREAD: readonly string[] = ['ECONNRESET', 'EPIPE'];
const TRIES_MAX = 3;

/** A connection to control.sock; another one, when an observer ended before it had read of it. */
class Line {
  readonly #path: string;
  readonly #limits: Limits;
  readonly #notices: NoticesByKind;
  readonly closed: Promise<void>;
  #onClosed: () => void = () => {};
  #channel: Channel | undefined;
  #isUnread = false;
  #hasAnswered = false;

  constructor(path: string, limits: Limits, notices: NoticesByKind) {
    this.#path = path;
    this.#limits = limits;
    this.#notices = notices;
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
  }

  async connect(): Promise<void> {
    const { Channel } = await import('../node/channel.ts');
    const socket = await connectedSoon(this.#path).catch((error) => {
      throw notThere(this.#path, error);
    });
    this.#isUnread = false;
    socket.once('error', ({ code = '' }: NodeJS.ErrnoException) => {
      this.#isUnread = !this.#hasAnswered && UNREAD.includes(code);
    });
    this.#channel = new Channel(socket, { limits: this.#limits, notices: this.#notices });
    this.#channel.whenClosed(() => {
      if (!this.#isUnread) this.#onClosed();
    });
  }

  async ask(kind: string, body: unknown): Promise<unknown> {
    for (let tries = 1; ; tries += 1) {
      try {
        const answer = await this.#channel?.ask(kind, body, waitMs(this.#limits));
        this.#hasAnswered = true;
        return answer;
      } catch (error) {
        if (!this.#isUnread || tries === TRIES_MAX) throw error;
      }
      await this.connect();
    }
  }

  close(): void {
    this.#channel?.close();
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
  if (lonely !== undefined && (await comes(controlSocket(lonely)))) return controlSocket(lonely);
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

/** Nobody listens, and the file is there: an observer takes the place of another. */
async function connectedSoon(path: string): Promise<Socket> {
  const begun = performance.now();
  for (;;) {
    try {
      return await connected(path);
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException;
      const waitMs = { ECONNREFUSED: AWAY_MS, ENOENT: NEXT_FILE_MS }[code] ?? 0;
      if (performance.now() - begun >= waitMs) throw error;
    }
    await pause(AGAIN_MS);
  }
}

async function comes(path: string): Promise<boolean> {
  const socket = await connectedSoon(path).catch(() => undefined);
  socket?.destroy();
  return socket !== undefined;
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
