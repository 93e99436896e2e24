/**
 * Systemd: tells systemd how the node is: it serves, it is well, it stops (Type=notify).
 * From: supervisor.ts.  To: the program systemd-notify, as Node has no datagram sockets of Unix;
 * hence NotifyAccess=all in the unit. Without NOTIFY_SOCKET nothing is done.
 * Bound: one process for each word, NOTIFY_MS each; no word that is late waits for another. The
 * watchdog is fed every third of its time, by who looks after all children, and only while the
 * node is well: a supervisor that stands still feeds nothing.
 */
import { type ChildProcess, execFile } from 'node:child_process';
import type { Logger } from '../base/log.ts';

const NOTIFY_MS = 5_000;
/** systemd says it in microseconds. */
const US_PER_MS = 1_000;
const FEEDS = 3;

/** What systemd has set for this process. */
export interface ServiceVariables {
  readonly NOTIFY_SOCKET?: string | undefined;
  readonly WATCHDOG_USEC?: string | undefined;
  readonly WATCHDOG_PID?: string | undefined;
}

export class Systemd {
  readonly #isThere: boolean;
  /** 0: there is no watchdog. */
  readonly #everyMs: number;
  readonly #log: Logger;
  #feeding: ChildProcess | undefined;
  #fedAt = Number.NEGATIVE_INFINITY;
  #hasFailed = false;

  constructor(
    { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID }: ServiceVariables,
    log: Logger,
    pid: number = process.pid,
  ) {
    this.#isThere = Boolean(NOTIFY_SOCKET);
    const isOurs = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === pid;
    const watchdogMs = isOurs ? Number(WATCHDOG_USEC ?? 0) / US_PER_MS : 0;
    this.#everyMs = Number.isFinite(watchdogMs) ? watchdogMs / FEEDS : 0;
    this.#log = log;
  }

  /** The node serves. */
  ready(): void {
    this.#tell('READY=1');
  }

  /** It takes no new links, and ends. */
  stopping(): void {
    this.#tell('STOPPING=1', 'STATUS=stopping');
  }

  /** At each tick, `now` in ms of a monotonic clock. `status`: for `systemctl status`. */
  tick(now: number, isWell: boolean, status: string): void {
    if (this.#everyMs <= 0 || !isWell || now - this.#fedAt < this.#everyMs) return;
    // One that hangs is killed, and another one tries.
    if (this.#feeding !== undefined) return;
    this.#fedAt = now;
    this.#feeding = this.#tell('WATCHDOG=1', `STATUS=${status}`);
    this.#feeding?.once('close', () => {
      this.#feeding = undefined;
    });
  }

  #tell(...words: readonly string[]): ChildProcess | undefined {
    if (!this.#isThere) return undefined;
    const options = { timeout: NOTIFY_MS, killSignal: 'SIGKILL' } as const;
    try {
      const child = execFile('systemd-notify', words, options, (error) => {
        if (error) this.#complain(error);
      });
      // It ends by itself: the node's end does not wait for it.
      child.unref();
      return child;
    } catch (error) {
      // No memory: the next word may find some.
      this.#complain(error as Error);
      return undefined;
    }
  }

  /** Once: the same would be said again and again. */
  #complain({ message }: Error): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#log.warn({ reason: message.trim() }, 'systemd-notify failed');
  }
}
