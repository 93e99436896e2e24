/**
 * AMQP URL: the parts of `amqp://USER:PASSWORD@HOST:PORT/VHOST?heartbeat=SECONDS`, decoded; and
 * the list of them, for a cluster: `URL,URL,URL`.
 * From: config.ts, which refuses a bad one at the start; broker/, which connects and tells of it.
 * To: one reading of it for all of them. Pure.
 * Bound: what cannot be read is a fault in words, never an exception, and holds no part of the URL.
 */
import { parseWhole } from './units.ts';

export interface AmqpUrl {
  readonly protocol: 'amqp' | 'amqps';
  /** An IPv6 address is without its brackets, as sockets take it. */
  readonly hostname: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  readonly vhost: string;
  /** Seconds, 0 for none; undefined when the URL leaves it to us. */
  readonly heartbeat: number | undefined;
}

/** In AMQP it is a short of 16 bits. */
const HEARTBEAT_MAX = 65_535;

/** The URLs of a list. A comma inside one is written %2C. */
export function splitAmqpUrls(text: string): string[] {
  return text.split(',').map((url) => url.trim());
}

/** The parts of `text`; or, as a string, what is wrong with it: `must be ...`, `has ...`. */
export function readAmqpUrl(text: string): AmqpUrl | string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isSpoken = url?.protocol === 'amqp:' || url?.protocol === 'amqps:';
  if (!isSpoken || !url.hostname || url.hash !== '') {
    return 'must be an amqp:// or amqps:// URL with a host';
  }
  const username = decoded(url.username);
  const password = decoded(url.password);
  const vhost = decoded(url.pathname.slice(1));
  if (username === undefined) return broken('user');
  if (password === undefined) return broken('password');
  if (vhost === undefined) return broken('vhost');
  const wanted = url.searchParams.get('heartbeat') ?? undefined;
  const heartbeat = wanted === undefined ? undefined : parseWhole(wanted);
  if (wanted !== undefined && !(heartbeat !== undefined && heartbeat <= HEARTBEAT_MAX)) {
    return `has a heartbeat that is not a whole number of seconds from 0 to ${HEARTBEAT_MAX}`;
  }
  const protocol = url.protocol === 'amqps:' ? 'amqps' : 'amqp';
  return {
    protocol,
    hostname: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(url.port) || (protocol === 'amqps' ? 5671 : 5672),
    username: username || 'guest',
    password: password || 'guest',
    vhost: vhost || '/',
    heartbeat,
  };
}

/** The parts of a URL that config.ts has let through; any other throws. */
export function parseAmqpUrl(text: string): AmqpUrl {
  const read = readAmqpUrl(text);
  if (typeof read === 'string') throw new Error(`the AMQP URL ${read}`);
  return read;
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

function broken(part: string): string {
  return `has a % in its ${part} that is not a percent-encoding; write a literal one as %25`;
}
