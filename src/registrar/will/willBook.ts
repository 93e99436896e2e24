/**
 * WillBook: what one batch does to wills, in the order of its steps; and who is to be told what.
 * From: judge.ts and recorder.ts, step by step, in the batch that records them.
 * To: the batch's transaction; then wills.ts.
 * Bound: no I/O; a step makes three changes at most.
 */
import type { WillEnd } from '../../base/metrics.ts';
import type { Trace } from '../../base/trace.ts';
import type { Down, Row, Up } from '../store/presenceRules.ts';
import type { SaidWill, WillChange, WillHead } from '../store/willRows.ts';
import { onEnd, onReturn } from './willRules.ts';

/** By acceptor, in order. */
type Told<T> = Map<string, T[]>;

export interface WillBookOptions {
  /** Those of the batch's devices that are on record. */
  readonly heads: readonly WillHead[];
  /** The last event before these. */
  readonly lastEvent: number;
  readonly trace: Trace;
  /** ms since 1970: for people only. */
  readonly wall: () => number;
}

export class WillBook {
  readonly changes: WillChange[] = [];
  readonly ends: WillEnd[] = [];
  /** Links of which the will is not known. */
  readonly wanted: Told<readonly [device: string, connection: string]> = new Map();
  /** Links with a will that have ended. */
  readonly gone: Told<string> = new Map();
  /** Marks behind which acceptors have told all. */
  readonly allTold: { readonly acceptor: string; readonly mark: number }[] = [];
  readonly #options: WillBookOptions;
  /** By link. */
  readonly #heads: Map<string, WillHead>;
  #lastEvent: number;
  #soonestMs: number | undefined;

  constructor(options: WillBookOptions) {
    this.#options = options;
    this.#heads = new Map(options.heads.map((head) => [head.connection, head]));
    this.#lastEvent = options.lastEvent;
  }

  get lastEvent(): number {
    return this.#lastEvent;
  }

  /** The shortest delay of those that wait from now on; undefined: none does. */
  get soonestMs(): number | undefined {
    return this.#soonestMs;
  }

  /** The row names this link now, and did not before. */
  began(up: Up): void {
    for (const head of this.#heads.values()) {
      if (head.device !== up.device || head.connection === up.connection) continue;
      if (onReturn(head, up.isCleanStart === true) === 'cancelled') this.#drop(head, 'cancelled');
      // Its acceptor may have to tell of a goodbye yet: the mark of all-told comes behind that.
      else this.#wait(head, 0, 'taken-over', this.#options.wall());
    }
    this.shown(up);
  }

  /** The row names this link. */
  shown({ device, connection, acceptor, will }: Up): void {
    if (will === undefined || this.#heads.get(connection)?.hash === hashOf(will)) return;
    if (typeof will === 'string') add(this.wanted, acceptor, [device, connection]);
    else this.#keep(device, connection, will);
  }

  /** Its acceptor was asked for it. */
  told(row: Row | undefined, device: string, connection: string, will: SaidWill): void {
    // tla: Will!HearWill
    this.#options.trace('Will!HearWill', { device, connection });
    if (row?.online !== true || row.connection !== connection) return;
    if (!this.#heads.has(connection)) this.#keep(device, connection, will);
  }

  /** The row named this link, which has ended. */
  ended({ device, connection, reason, at }: Row, will: Down['will']): void {
    if (typeof will === 'object' && !this.#heads.has(connection)) {
      this.#keep(device, connection, will);
    }
    const head = this.#heads.get(connection);
    if (head === undefined) return;
    const fate = onEnd(head, reason);
    if (fate === 'goodbye') this.#drop(head, fate);
    else if (fate === 'published') this.#publish(head, reason, at);
    else this.#wait(head, head.delayMs, reason, at);
  }

  /** An end was told of, whether the row named its link or not. */
  toldEnd({ acceptor, connection, will, reason }: Down): void {
    if (will !== undefined && acceptor !== undefined) add(this.gone, acceptor, connection);
    // What became of it was open since a takeover.
    const head = this.#heads.get(connection);
    if (head?.isWaiting && reason === 'peer-bye') this.#drop(head, 'goodbye');
  }

  /** Its delay is over, and every acceptor has told of all links that began before. */
  due(device: string, connection: string): void {
    // tla: Will!Due
    this.#options.trace('Will!Due', { device, connection });
    const head = this.#heads.get(connection);
    if (head?.isWaiting) this.#publish(head, 'missed', this.#options.wall());
  }

  /** What this acceptor had to tell before its mark is in this batch, or was in an earlier one. */
  toldAll(step: { readonly acceptor: string; readonly mark: number }): void {
    const { acceptor, mark } = step;
    // tla: Will!HearAllTold
    this.#options.trace('Will!HearAllTold', { acceptor, mark });
    this.allTold.push(step);
  }

  #keep(device: string, connection: string, will: SaidWill): void {
    // tla: Will!Keep
    this.#options.trace('Will!Keep', { device, connection });
    const { hash, delayMs, rules } = will;
    this.changes.push({ what: 'keep', will: { ...will, device, connection } });
    this.#heads.set(connection, { device, connection, hash, delayMs, rules, isWaiting: false });
  }

  #drop({ device, connection }: WillHead, fate: WillEnd): void {
    // tla: Will!Goodbye, Will!Cancel
    this.#options.trace('Will!Drop', { device, connection, fate });
    this.changes.push({ what: 'drop', connection });
    this.#heads.delete(connection);
    this.ends.push(fate);
  }

  #wait(head: WillHead, delayMs: number, reason: Row['reason'], at: number): void {
    const { device, connection } = head;
    // tla: Will!Wait
    this.#options.trace('Will!Wait', { device, connection });
    this.changes.push({ what: 'wait', connection, delayMs, reason, at });
    this.#heads.set(connection, { ...head, delayMs, isWaiting: true });
    this.#soonestMs = Math.min(this.#soonestMs ?? delayMs, delayMs);
  }

  #publish({ device, connection }: WillHead, reason: Row['reason'], at: number): void {
    // tla: Will!Out
    this.#options.trace('Will!Out', { device, connection });
    this.#lastEvent += 1;
    this.changes.push({ what: 'publish', id: this.#lastEvent, connection, reason, at });
    this.#heads.delete(connection);
    this.ends.push('published');
  }
}

function hashOf(will: SaidWill | string): string {
  return typeof will === 'string' ? will : will.hash;
}

function add<T>(told: Told<T>, acceptor: string, item: T): void {
  const known = told.get(acceptor);
  if (known) known.push(item);
  else told.set(acceptor, [item]);
}
