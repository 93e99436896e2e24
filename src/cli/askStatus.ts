/**
 * AskStatus: what `owsla status` does: asks a node of this machine how it is.
 * From: the command line.  To: control.sock, in --run-dir or in the folder of the one node that is
 * found in TMPDIR; no broker is needed.
 * Bound: twice `questionMs` and ANSWER_MS for the answer; nothing is tried twice.
 */
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import type { Config } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import type { Limits } from '../base/limits.ts';
import { Channel, ChannelError } from '../node/channel.ts';
import { findFolders } from '../node/folder.ts';
import { controlSocket, registrarSocket } from '../node/ipc.ts';
import type { ListenerFacts, ProcessStatus, StatusAnswer } from '../node/statusAnswer.ts';
import { tableOf } from './table.ts';

/** Exit codes of `owsla status` (docs/operations.md), by the node's state. */
export const STATUS_EXIT = { ready: 0, degraded: 3, 'not-ready': 4 } as const;

const ANSWER_MS = 3_000;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Rejects with a StartError when no node answers, or it is not clear which one is meant. */
export async function askStatus({ runDir, limits }: Config): Promise<StatusAnswer> {
  const path = runDir === '' ? await findControl() : controlSocket(runDir);
  const socket = await connected(path).catch((error) => {
    throw notThere(path, error);
  });
  const channel = new Channel(socket, { limits });
  try {
    return (await channel.ask('status', null, waitMs(limits))) as StatusAnswer;
  } catch (error) {
    if (!(error instanceof ChannelError)) throw error;
    const sentence = `the node at ${path} does not answer: ${error.message}`;
    throw new StartError(EXIT.unavailable, sentence);
  } finally {
    channel.close();
  }
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
      : `a node runs (${lonely}), but its observer, which answers, does not: try again in a moment`;
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

/** For a terminal. What others wrote has no control characters then. */
export function statusText(answer: StatusAnswer): string {
  const { node, state, version, runtime, adminHost, adminPort, prefix } = answer;
  const facts = [
    ['node', node],
    ['state', state.replace('-', ' ')],
    ...answer.reasons.map(({ acceptor, reason }) => ['', sentence([], acceptor, reason)]),
    ...answer.degraded.map(({ acceptor, part, reason }) => [
      '',
      sentence([part], acceptor, reason),
    ]),
    ['version', `${version}, Node.js ${runtime}, up ${ageOf(answer.uptimeMs)}`],
    ['links', `${answer.links} of ${answer.linksMax}`],
    ...answer.listeners.map((one, at) => [at === 0 ? 'listeners' : '', listenerOf(one)]),
    ['admin', `${adminHost}:${adminPort}`],
    ['broker', `${answer.brokers.join(', ')}, prefix ${prefix}: ${brokerOf(answer)}`],
    ['restarts', restartsOf(answer)],
  ];
  const head = ['process', 'pid', 'state', 'up', 'links', 'broker', 'incarnation', ''];
  const rows = answer.processes.map((one) => rowOf(one, answer.version));
  const text = `${tableOf(facts)}\n${tableOf([head, ...rows])}`;
  return text.replaceAll(/(?!\n)\p{Cc}/gu, '?');
}

function sentence(words: string[], acceptor: number | undefined, reason: string): string {
  return [...words, ...(acceptor === undefined ? [] : [`acceptor ${acceptor}`]), reason].join(': ');
}

function listenerOf({ name, address, isTls, auth }: ListenerFacts): string {
  return `${name} ${address}${isTls ? ' TLS' : ''}, auth ${auth.join()}`;
}

function restartsOf({ restarts }: StatusAnswer): string {
  return Object.entries(restarts)
    .map(([role, times]) => `${role} ${times}`)
    .join(', ');
}

/** The worst that a process says; of one that does not answer it is not known. */
function brokerOf({ processes }: StatusAnswer): string {
  const said = new Set(processes.flatMap(({ broker }) => broker ?? []));
  return (['down', 'blocked', 'up'] as const).find((word) => said.has(word)) ?? 'not known';
}

function rowOf(one: ProcessStatus, ofNode: string): string[] {
  const { role, index, state, pid = '', uptimeMs, links = '', broker = '', version } = one;
  const name = role === 'acceptor' ? `${role} ${index}` : role;
  const age = uptimeMs === undefined ? '' : ageOf(uptimeMs);
  const another = version === undefined || version === ofNode ? [] : [`version ${version}`];
  const more = [...(one.why === undefined ? [] : [one.why]), ...another].join('; ');
  return [name, `${pid}`, state, age, `${links}`, broker, one.incarnation ?? '', more];
}

/** `4s`, `12m 4s`, `3h 12m`, `9d 3h`: two units are enough. */
function ageOf(ageMs: number): string {
  const [days, hours] = [Math.floor(ageMs / DAY), Math.floor((ageMs % DAY) / HOUR)];
  const minutes = Math.floor((ageMs % HOUR) / MINUTE);
  const seconds = Math.floor((ageMs % MINUTE) / SECOND);
  if (days > 0) return `${days}d ${hours}h`;
  if (hours > 0) return `${hours}h ${minutes}m`;
  return minutes > 0 ? `${minutes}m ${seconds}s` : `${seconds}s`;
}
