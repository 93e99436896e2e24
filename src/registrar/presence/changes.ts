/**
 * Changes: what was reported and is not recorded yet, in the order in which it came. Pure.
 * From: recorder.ts, for streams and the supervisor.  To: its batches; it also answers whether a
 * device is among the changes.
 * Bound: its user's, `presenceQueueMax`.
 */
import type { Change, Down, Row } from '../store/presenceRules.ts';
import type { SaidWill } from '../store/willRows.ts';

/** Rows of one acceptor that are to go offline, page by page. */
export interface Sweep {
  readonly acceptor: string;
  /** After a hand-over: the links that are there, later ones too. Absent: none is. */
  readonly seen?: Set<string>;
  after: string;
}

/** The end of a row's link, which nobody has told of, if the sweep says that it is over. */
export function overOf(row: Row, sweep: Sweep | undefined, start: number, at: number): Down[] {
  if (sweep?.seen?.has(row.connection)) return [];
  const { device, connection } = row;
  const unseen = row.start === start ? 'acceptor-ended' : 'node-ended';
  return [{ kind: 'down', device, connection, at, reason: sweep?.seen ? 'missed' : unseen }];
}

/** Its successor has told all that there is of this acceptor. */
export interface HeirStep {
  readonly kind: 'heir';
  readonly acceptor: string;
  readonly of: string;
}

/** About wills; links are what they come behind. */
export type WillStep =
  | {
      readonly kind: 'will';
      readonly device: string;
      readonly connection: string;
      readonly will: SaidWill;
    }
  | { readonly kind: 'due'; readonly device: string; readonly connection: string }
  | { readonly kind: 'all-told'; readonly acceptor: string; readonly mark: number };

export type Step = Change | { readonly kind: 'sweep'; readonly sweep: Sweep } | HeirStep | WillStep;

/** Is it about a device? */
export function isChange(step: Step): step is Change {
  return step.kind === 'up' || step.kind === 'down';
}

/** The device whose row, or will, it may change. */
export function changedDevice(step: Step): string | undefined {
  return 'device' in step ? step.device : undefined;
}

export class Changes {
  readonly #waiting: Step[] = [];
  /** How many of each device are not recorded. */
  readonly #byDevice = new Map<string, number>();

  /** Those not taken. */
  get length(): number {
    return this.#waiting.length;
  }

  /** Is one of this device not recorded yet? */
  has(device: string): boolean {
    return this.#byDevice.has(device);
  }

  push(step: Step): void {
    this.#waiting.push(step);
    if (isChange(step)) this.#byDevice.set(step.device, this.#count(step.device) + 1);
  }

  /** The first `max`. Then either `recorded` or `putBack`. */
  take(max: number): Step[] {
    return this.#waiting.splice(0, max);
  }

  putBack(taken: readonly Step[]): void {
    this.#waiting.unshift(...taken);
  }

  recorded(taken: readonly Step[]): void {
    for (const step of taken) {
      if (!isChange(step)) continue;
      const left = this.#count(step.device) - 1;
      if (left > 0) this.#byDevice.set(step.device, left);
      else this.#byDevice.delete(step.device);
    }
  }

  #count(device: string): number {
    return this.#byDevice.get(device) ?? 0;
  }
}
