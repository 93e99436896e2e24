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
  /** Links with a will that have said goodbye. */
  readonly gone: Told<string> = new Map();
  /** Marks behind which acceptors have told all. */
  readonly allTold: { readonly acceptor: string; readonly mark: number }[] = [];
  readonly #options: WillBookOptions;
  readonly #heads: Map<string, WillHead>;
  #lastEvent: number;

  constructor(options: WillBookOptions) {
    this.#options = options;
    this.#heads = new Map(options.heads.map((head) => [head.device, head]));
    this.#lastEvent = options.lastEvent;
  }

  get lastEvent(): number {
    return this.#lastEvent;
  }

  /** The shortest delay of those that wait from now on; undefined: none does. */
  get soonestMs(): number | undefined {
    return this.#soonestMs;
  }
  #soonestMs: number | undefined;

  /** The row names this link now, and did not before. */
  began(up: Up): void {
    const { device } = up;
    const head = this.#heads.get(device);
    if (head !== undefined) {
      const fate = onReturn(head, up.isCleanStart === true);
      if (fate === 'cancelled') this.#drop(head, fate);
      // One that waits keeps the reason of its link's end.
      else this.#publish(head, 'taken-over', this.#options.wall());
    }
    this.shown(up);
  }

  /** The row names this link. */
  shown({ device, connection, acceptor, will }: Up): void {
    if (will === undefined || this.#headOf(device, connection)?.hash === hashOf(will)) return;
    if (typeof will === 'string') add(this.wanted, acceptor, [device, connection]);
    else this.#keep(device, connection, will);
  }

  /** Its acceptor was asked for it. */
  told(row: Row | undefined, device: string, connection: string, will: SaidWill): void {
    if (row?.online !== true || row.connection !== connection) return;
    if (this.#headOf(device, connection) === undefined) this.#keep(device, connection, will);
  }

  /** The row names this link, which has ended. */
  ended({ device, connection, reason, at }: Row, will: Down['will']): void {
    if (typeof will === 'object' && this.#headOf(device, connection) === undefined) {
      this.#keep(device, connection, will);
    }
    const head = this.#headOf(device, connection);
    if (head === undefined) return;
    const fate = onEnd(head, reason);
    if (fate === 'goodbye') this.#drop(head, fate);
    else if (fate === 'published') this.#publish(head, reason, at);
    else this.#wait(head, reason, at);
  }

  /** A goodbye was told of, whether the row named its link or not. */
  saidGoodbye({ acceptor, connection, will }: Down): void {
    if (will === true && acceptor !== undefined) add(this.gone, acceptor, connection);
  }

  /** Its delay is over, and every acceptor has told of all links that began before. */
  due(device: string, connection: string): void {
    const head = this.#headOf(device, connection);
    if (head?.isWaiting) this.#publish(head, 'missed', this.#options.wall());
  }

  #headOf(device: string, connection: string): WillHead | undefined {
    const head = this.#heads.get(device);
    return head?.connection === connection ? head : undefined;
  }

  #keep(device: string, connection: string, will: SaidWill): void {
    // tla: Will!Keep
    this.#options.trace('WillKept', { device, connection });
    const { hash, delayMs, rules } = will;
    this.changes.push({ what: 'keep', will: { ...will, device, connection } });
    this.#heads.set(device, { device, connection, hash, delayMs, rules, isWaiting: false });
  }

  #drop({ device, connection }: WillHead, fate: WillEnd): void {
    // tla: Will!Goodbye, Will!Cancel
    this.#options.trace('WillDropped', { device, connection, fate });
    this.changes.push({ what: 'drop', device });
    this.#heads.delete(device);
    this.ends.push(fate);
  }

  #wait(head: WillHead, reason: Row['reason'], at: number): void {
    const { device, connection, delayMs } = head;
    // tla: Will!Wait
    this.#options.trace('WillWaits', { device, connection });
    this.changes.push({ what: 'wait', device, reason, at });
    this.#heads.set(device, { ...head, isWaiting: true });
    this.#soonestMs = Math.min(this.#soonestMs ?? delayMs, delayMs);
  }

  #publish({ device, connection }: WillHead, reason: Row['reason'], at: number): void {
    // tla: Will!Due
    this.#options.trace('WillRecorded', { device, connection });
    this.#lastEvent += 1;
    this.changes.push({ what: 'publish', id: this.#lastEvent, device, reason, at });
    this.#heads.delete(device);
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
