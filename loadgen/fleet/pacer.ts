/**
 * Pacer: the worker's one timer; whatever is due is done in order of its planned time.
 * From: sources (connects, messages) and the agenda.  To: their `emit` and the fleet's `onDue`.
 * Bound: SLICE_MS of work, then the event loop gets its turn, so that sending a burst never keeps
 * answers from being read. Being late never makes a message's planned time later.
 */

import { nowMs } from '../measure/clock.ts';
import { Agenda, type Due } from './agenda.ts';

/** A series of planned moments. */
export interface Source {
  /** When its next one is planned; Infinity when there is none. */
  readonly nextMs: number;
  /** Do what was planned for `nextMs`, and go on to the next. */
  emit(now: number): void;
}

const SLICE_MS = 2;
const SLEEP_MAX_MS = 1_000;

export class Pacer {
  readonly agenda = new Agenda();
  isMuted = false;
  readonly #sources = new Set<Source>();
  readonly #onDue: (due: Due, now: number) => void;
  readonly #onTurnEnd: (now: number) => void;
  readonly #spin: boolean;
  readonly #due: Due = { kind: 0, device: 0, stamp: 0 };
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;

  constructor(options: {
    spin: boolean;
    onDue: (due: Due, now: number) => void;
    onTurnEnd: (now: number) => void;
  }) {
    this.#spin = options.spin;
    this.#onDue = options.onDue;
    this.#onTurnEnd = options.onTurnEnd;
  }

  add(source: Source): void {
    this.#sources.add(source);
    this.#wake();
  }

  remove(source: Source): void {
    this.#sources.delete(source);
  }

  /** Has every source done all that was planned? */
  get isExhausted(): boolean {
    for (const { nextMs } of this.#sources) if (nextMs < Number.POSITIVE_INFINITY) return false;
    return true;
  }

  /** Start a timer of the agenda. */
  at(timeMs: number, kind: number, device: number, stamp: number): void {
    const wasNext = this.agenda.nextMs;
    this.agenda.add(timeMs, kind, device, stamp);
    if (timeMs < wasNext) this.#wake();
  }

  /** Plan nothing new; what is on the agenda, keepalives above all, goes on. */
  mute(): void {
    this.isMuted = true;
    this.#sources.clear();
  }

  stop(): void {
    this.#sources.clear();
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.#immediate = undefined;
    this.#timer = undefined;
  }

  /** Something may be due sooner than the timer thinks. */
  #wake(): void {
    if (this.#immediate !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#immediate = setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#immediate = undefined;
    this.#timer = undefined;
    const startMs = nowMs();
    let now = startMs;
    let next = this.#first();
    while (next.timeMs <= now && now - startMs < SLICE_MS) {
      if (next.source !== undefined) {
        next.source.emit(now);
      } else {
        this.agenda.take(this.#due);
        this.#onDue(this.#due, now);
      }
      now = nowMs();
      next = this.#first();
    }
    this.#onTurnEnd(now);
    this.#sleep(next.timeMs - nowMs());
  };

  #first(): { source: Source | undefined; timeMs: number } {
    first.source = undefined;
    first.timeMs = this.agenda.nextMs;
    for (const source of this.#sources) {
      if (source.nextMs < first.timeMs) {
        first.source = source;
        first.timeMs = source.nextMs;
      }
    }
    return first;
  }

  #sleep(waitMs: number): void {
    if (this.#immediate !== undefined || this.#timer !== undefined) return;
    if (waitMs === Number.POSITIVE_INFINITY) return;
    if (waitMs <= 0 || (this.#spin && waitMs < 2)) {
      this.#immediate = setImmediate(this.#turn);
      return;
    }
    // A timer never fires early, but up to a millisecond late: ask for the millisecond before.
    const ms = Math.min(SLEEP_MAX_MS, Math.max(1, Math.floor(waitMs)));
    this.#timer = setTimeout(this.#turn, ms);
  }
}

// One object for every look: this runs tens of thousands of times a second.
const first: { source: Source | undefined; timeMs: number } = { source: undefined, timeMs: 0 };
