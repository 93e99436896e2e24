/**
 * Log: pino on stdout, one line per decision, nothing per message.
 * From: supervisor, children and what they build; a logger is passed in, never imported.
 * To: stdout, as JSON lines, or readable ones when a terminal reads them.
 * Bound: a child holds LOG_BYTES_MAX for a slow reader of stdout, then loses lines, not time.
 */
import { isatty } from 'node:tty';
import { destination, type Logger, pino, stdTimeFunctions } from 'pino';
import type { PrettyOptions } from 'pino-pretty';
import { later } from './later.ts';
import type { LogLevel } from './options.ts';
import { redact } from './redact.ts';

export type { Logger } from 'pino';

/** `proof`: of a reload. */
export type Role = 'supervisor' | 'acceptor' | 'registrar' | 'observer' | 'proof';

const pretty = later<typeof import('pino-pretty')>('pino-pretty');
const STDOUT = 1;
const LOG_BYTES_MAX = 1024 * 1024;

/** One line each: `12:00:00.000 INFO acceptor 2: broker link up {"link":"publish"}`. */
const PRETTY: PrettyOptions = {
  singleLine: true,
  translateTime: 'SYS:HH:MM:ss.l',
  ignore: 'pid,hostname,role,acceptor,incarnation',
  messageFormat: ({ role, acceptor, msg }) =>
    `${role}${acceptor === undefined ? '' : ` ${acceptor}`}: ${msg}`,
};

/** The origin of a line. `acceptor`: its number from 1; `incarnation`: one life of a child. */
export interface LogOrigin {
  readonly role: Role;
  readonly acceptor?: number;
  readonly incarnation?: string;
}

/**
 * A logger whose every line names its origin; passwords and tokens are taken out of each line.
 * The supervisor writes at once; children write behind, so that a reader of stdout that has
 * stopped (a paused terminal) cannot stop a device.
 */
export function makeLogger(level: LogLevel, origin: LogOrigin): Logger {
  const isSync = origin.role === 'supervisor';
  const out = destination({ dest: STDOUT, sync: isSync, maxLength: LOG_BYTES_MAX });
  // The reader of stdout has gone (`owsla serve | head`): no reason to drop a link.
  out.on('error', () => {});
  if (!isSync) process.on('exit', () => flush(out));
  const stream = isatty(STDOUT) ? pretty().build({ ...PRETTY, destination: out }) : out;
  return makeLoggerTo(remembering(stream), level, origin);
}

const RECENT_LINES_MAX = 20;
const RECENT_LINE_CHARS_MAX = 1_000;
const recent: string[] = [];

/** The last lines that this process has logged, shortened: for the report of its crash. */
export function recentLines(): readonly string[] {
  return recent;
}

interface LineStream {
  write(line: string): unknown;
  flushSync?(): void;
}

/** Nothing is kept but these few lines. */
function remembering(stream: LineStream): { write(line: string): void; flushSync(): void } {
  return {
    write: (line) => {
      recent.push(line.slice(0, RECENT_LINE_CHARS_MAX).trimEnd());
      if (recent.length > RECENT_LINES_MAX) recent.shift();
      stream.write(line);
    },
    flushSync: () => stream.flushSync?.(),
  };
}

/** The same logger on any stream. */
export function makeLoggerTo(
  stream: { write(line: string): void },
  level: LogLevel,
  origin: LogOrigin,
): Logger {
  return pino(
    {
      level,
      base: { pid: process.pid, ...origin },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: { streamWrite: redact },
    },
    stream,
  );
}

function flush(out: { flushSync(): void }): void {
  try {
    out.flushSync();
  } catch {
    // The reader is gone or the stream is not open yet: nothing can be logged.
  }
}
