/**
 * Complaints: lines of the registrar's log that many devices or commands may cause at once.
 * From: the recorder, commands, the tick.  To: the log.
 * Bound: of each kind one line in SELDOM_MS; the others are only counted by who has them.
 */
import type { Logger } from 'pino';

const SELDOM_MS = 1_000;

export class Complaints {
  readonly #log: Logger;
  /** When a line of this kind was written last, in ms of a monotonic clock. */
  readonly #last = new Map<'clone' | 'undecided', number>();

  constructor(log: Logger) {
    this.#log = log;
  }

  clone(device: string, takeovers: number): void {
    if (!this.#may('clone')) return;
    this.#log.warn(
      { device, takeovers },
      'repeated takeovers of one device id: do two devices share it?',
    );
  }

  undecided(error: unknown): void {
    if (!this.#may('undecided')) return;
    this.#log.error({ err: error }, 'command dropped because of an internal error');
  }

  /** Whoever sets a clock does so seldom enough. */
  wallJump(jumpMs: number): void {
    const reason = 'deadlines of commands follow the new time; no record is deleted because of it';
    this.#log.warn({ jumpMs, reason }, 'wall clock changed');
  }

  #may(kind: 'clone' | 'undecided'): boolean {
    const now = performance.now();
    if (now - (this.#last.get(kind) ?? Number.NEGATIVE_INFINITY) < SELDOM_MS) return false;
    this.#last.set(kind, now);
    return true;
  }
}
