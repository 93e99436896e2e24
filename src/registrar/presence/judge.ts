/**
 * Judge: what one change does to rows, events and links, by the rules; in a batch, in order.
 * From: recorder.ts, change by change, with the rows of the batch.  To: the batch's outcome.
 * Bound: no I/O; a change adds one event or none, and one link to close or two.
 */
import type { PresenceReason } from '../../base/errors.ts';
import type { Limits } from '../../base/limits.ts';
import type { Trace } from '../../base/trace.ts';
import {
  applyRules,
  type Down,
  eventOf,
  type HeldLink,
  isLater,
  type Row,
  type Up,
} from '../store/presenceRules.ts';
import type { OutboxEvent } from '../store/store.ts';
import type { WillBook } from '../will/willBook.ts';
import type { HeirStep, Sweep } from './changes.ts';
import type { Successions } from './successions.ts';
import type { TakeoverThrottle } from './takeoverThrottle.ts';

/** The result of one batch. */
export interface BatchOutcome {
  readonly rows: Map<string, Row>;
  readonly changed: Set<string>;
  readonly events: OutboxEvent[];
  readonly reasons: PresenceReason[];
  readonly closes: HeldLink[];
  /** That begin when all before them is recorded, and not sooner. */
  readonly sweeps: Sweep[];
  /** Links that were told of, and predecessors of which all was. */
  readonly shown: HeldLink[];
  readonly heirs: Omit<HeirStep, 'kind'>[];
  readonly wills?: WillBook | undefined;
  /** The highest `seq` that was ever forgotten; the store's epoch; the last event before these. */
  readonly floor: number;
  readonly epoch: number;
  readonly lastEvent: number;
}

export interface JudgeOptions {
  readonly throttle: TakeoverThrottle;
  readonly successions: Successions;
  readonly limits: Limits;
  readonly clock: { now(): number };
  readonly trace: Trace;
  readonly onClone: (device: string, takeovers: number) => void;
}

export class Judge {
  readonly #options: JudgeOptions;

  constructor(options: JudgeOptions) {
    this.#options = options;
  }

  /** A link was told of, or has waited long enough. */
  up(given: Up, outcome: BatchOutcome): void {
    const { clock, onClone, limits, trace } = this.#options;
    const { device, connection, acceptor } = given;
    outcome.shown.push({ acceptor, connection });
    const up = this.#latest(given, outcome);
    this.#options.throttle.release(device);
    const row = outcome.rows.get(device);
    const hasMoved = (from: string, to: string) => this.#options.successions.hasMoved(from, to);
    const { row: next, close, isMove } = applyRules(row, up, outcome.floor, hasMoved);
    const named = { connection: up.connection, device, acceptor };
    if (next?.reason === 'takeover' && !isMove) {
      if (!this.#options.throttle.admits(up, clock.now())) {
        trace('Hold', named);
        return;
      }
      const takeovers = this.#options.throttle.takeovers(device);
      if (takeovers >= limits.takeoversMax) onClone(device, takeovers);
    }
    // tla: Presence!Up
    trace('Up', isMove ? named : { ...named, seq: next?.seq });
    if (close) outcome.closes.push(close);
    if (next && isMove) move(next, outcome);
    else if (next) this.#change(next, outcome);
    if (next && !isMove) outcome.wills?.began(up);
    else if (row?.online && row.connection === up.connection) outcome.wills?.shown(up);
  }

  /** Of this link and the one that waits with its takeover, the later; the other has to close. */
  #latest(given: Up, { closes }: BatchOutcome): Up {
    const { device, connection, acceptor } = given;
    const held = this.#options.throttle.held(device);
    if (held === undefined) return given;
    if (held.connection === connection) {
      // It may have moved while it waited.
      return this.#options.successions.hasMoved(acceptor, held.acceptor) ? held : given;
    }
    const isNewer = isLater(given, held);
    closes.push(isNewer ? held : given);
    if (!isNewer) this.#options.trace('Hold', { connection, device, acceptor });
    return isNewer ? given : held;
  }

  /** A link is over, by its acceptor's word or because that has ended. */
  down(down: Down, outcome: BatchOutcome): void {
    const held = this.#options.throttle.held(down.device);
    if (held?.connection === down.connection) this.#options.throttle.release(down.device);
    const { row } = applyRules(outcome.rows.get(down.device), down, outcome.floor);
    // tla: Presence!Down, Presence!Missed, Presence!AcceptorEnded
    const { connection, device, reason, acceptor } = down;
    this.#options.trace('Down', { connection, device, reason, seq: row?.seq, acceptor });
    outcome.wills?.toldEnd(down);
    if (!row) return;
    this.#change(row, outcome);
    outcome.wills?.ended(row, down.will);
    const waiting = this.#options.throttle.held(down.device);
    // The link of the row has already ended: no takeover.
    if (waiting) this.up(waiting, outcome);
  }

  #change(row: Row, { rows, changed, events, reasons, lastEvent, epoch }: BatchOutcome): void {
    const { device, online, reason } = row;
    reasons.push(reason);
    rows.set(device, row);
    changed.add(device);
    const id = lastEvent + events.length + 1;
    events.push({ id, device, online, body: eventOf(row, epoch) });
  }
}

/** The row names another acceptor; there is no event. */
function move(row: Row, { rows, changed }: BatchOutcome): void {
  rows.set(row.device, row);
  changed.add(row.device);
}
