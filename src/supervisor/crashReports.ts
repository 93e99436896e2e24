/**
 * CrashReports: tells --on-crash of each crash: one JSON object on the standard input of a command
 * of the operator's, for an exception tracker.
 * From: supervisor.ts, with each crash that it has seen.  To: `sh -c COMMAND`; the log.
 * Bound: `crashReportsMax` commands at once, `crashReportMs` each, then SIGKILL, also to what they
 * have left behind. A crash beyond that is counted, and the next report has the count. Nothing
 * waits for a command but the end of the node, which is what the last report is about.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { hostname } from 'node:os';
import type { Config } from '../base/config.ts';
import type { Logger } from '../base/log.ts';
import { redact } from '../base/redact.ts';
import type { CrashedMessage } from '../node/ipc.ts';
import { OWSLA_VERSION } from '../node/version.ts';
import { type ChildSlot, childEnvironment, nameOf } from './childSlot.ts';

/** What the supervisor has seen of an end. */
export interface SeenEnd {
  readonly child: Pick<ChildProcess, 'pid'>;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly uptimeMs: number;
}

/** What a command gets; docs/operations.md has each field. */
export interface CrashReport {
  readonly event: 'crash';
  readonly process: string;
  readonly pid: number | undefined;
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** Why the supervisor killed it, if it did. */
  readonly killed: string | null;
  readonly error: Omit<CrashedMessage, 'type' | 'lines'> | null;
  readonly uptimeMs: number;
  /** ISO 8601. */
  readonly at: string;
  readonly restarts: number;
  readonly figures: Readonly<Record<string, number>>;
  readonly version: string;
  readonly node: string;
  readonly host: string;
  /** The last lines of its log, of one that could still send them. */
  readonly log: readonly string[];
  /** Crashes since the last report that found no place. */
  readonly unreported: number;
}

type Reporting = Pick<Config, 'onCrash' | 'limits'>;

const STDERR_CHARS_MAX = 1_000;

export class CrashReports {
  #config: Reporting;
  readonly #log: Logger;
  readonly #running = new Map<ChildProcess, NodeJS.Timeout>();
  #unreported = 0;
  #onIdle: (() => void) | undefined;

  constructor(config: Reporting, log: Logger) {
    this.#config = config;
    this.#log = log;
  }

  /** After a reload. */
  follow(config: Reporting): void {
    this.#config = config;
  }

  /** Returns at once. */
  report(slot: ChildSlot, end: SeenEnd): void {
    const { onCrash, limits } = this.#config;
    if (onCrash === '') return;
    const child = nameOf(slot);
    if (this.#running.size >= limits.crashReportsMax) {
      this.#unreported += 1;
      this.#log.warn({ child, unreported: this.#unreported }, 'crash not reported: too many');
      return;
    }
    const text = redact(JSON.stringify(this.#reportOf(slot, end)));
    this.#unreported = 0;
    this.#run(`${text}\n`, child);
  }

  #reportOf(slot: ChildSlot, { child, code, signal, uptimeMs }: SeenEnd): CrashReport {
    const { lastWords, killedFor, why, restarts, figures } = slot;
    const said = why === undefined ? null : { name: 'StartError', message: why, stack: '' };
    const { name, message, stack, lines = [] } = lastWords ?? {};
    const thrown = name === undefined ? null : { name, message: `${message}`, stack: `${stack}` };
    return {
      event: 'crash',
      process: nameOf(slot),
      pid: child.pid,
      exitCode: code,
      signal,
      killed: killedFor ?? null,
      error: thrown ?? said,
      uptimeMs,
      at: new Date().toISOString(),
      restarts,
      figures,
      version: OWSLA_VERSION,
      node: process.version,
      host: hostname(),
      log: lines,
      unreported: this.#unreported,
    };
  }

  #run(text: string, child: string): void {
    const failed = (fields: object) =>
      this.#log.warn({ child, ...fields }, 'crash not reported: the command failed');
    let command: ChildProcess;
    try {
      command = this.#spawn();
    } catch (err) {
      // Most of what can be wrong comes as an event; no memory, and too long a command, do not.
      failed({ err });
      return;
    }
    const { stdin, stderr } = command;
    let errors = '';
    stderr?.on('data', (chunk) => {
      if (errors.length < STDERR_CHARS_MAX) errors += String(chunk).slice(0, STDERR_CHARS_MAX);
    });
    // It need not read; and without a file left there is no pipe.
    stdin?.on('error', () => {});
    stderr?.on('error', () => {});
    stdin?.end(text);
    const timer = setTimeout(() => this.#kill(command), this.#config.limits.crashReportMs);
    this.#running.set(command, timer);
    command.on('error', (err) => {
      failed({ err });
      this.#forget(command);
    });
    command.on('exit', (code, signal) => {
      if (code === 0) this.#log.info({ child }, 'crash reported');
      else failed({ code, signal, ...(errors === '' ? {} : { stderr: errors.trim() }) });
    });
    // What it has started may hold its stderr still: it has a place until that has ended too.
    command.on('close', () => this.#forget(command));
  }

  /** In a group of its own: Ctrl-C is not for it, and what it starts ends with it. */
  #spawn(): ChildProcess {
    return spawn('/bin/sh', ['-c', this.#config.onCrash], {
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true,
      env: childEnvironment(),
    });
  }

  #forget(command: ChildProcess): void {
    clearTimeout(this.#running.get(command));
    if (this.#running.delete(command) && this.#running.size === 0) this.#onIdle?.();
  }

  #kill({ pid, stderr }: ChildProcess): void {
    // Whoever has left the group is no longer waited for.
    stderr?.destroy();
    try {
      if (pid !== undefined) process.kill(-pid, 'SIGKILL');
    } catch {
      // It has just ended.
    }
  }

  /** Ends all commands. */
  stop(): void {
    for (const command of this.#running.keys()) this.#kill(command);
  }

  /** Resolves when no command is running, after `crashReportMs` at the latest. */
  settled(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
    });
  }
}
