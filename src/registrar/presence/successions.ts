/**
 * Successions: whose links move to whom in a reload; what has to wait for that, and who is told.
 * From: the supervisor's list, by recorder.ts, before either of two acceptors can end; what their
 * streams say.  To: recorder.ts: which of two acceptors has a link, and whose rows may go offline.
 * Bound: the supervisor's list; while a predecessor lives, the connections that its successors have
 * told of; one waiting sweep for each predecessor that has ended.
 *
 * An acceptor has one successor, or several that share its links; and it may be that of several.
 */
import type { Succession } from '../../node/ipc.ts';
import type { Sweep } from './changes.ts';

type ByAcceptor = ReadonlyMap<string, readonly string[]>;
const NOBODY: readonly string[] = [];

export class Successions {
  /** By predecessor. */
  #heirs: ByAcceptor = new Map();
  /** By successor: all before it that live. */
  #before: ByAcceptor = new Map();
  #live: ReadonlySet<string> = new Set();
  /**
   * By predecessor: successors that have told all of it. Forgotten with this process: it is told
   * again.
   */
  readonly #heard = new Map<string, Set<string>>();
  /** Rows of ended ones, which their successors may still tell of. */
  readonly #waiting = new Set<Sweep>();
  /** By live predecessor: connections that are on record as its successors'. */
  readonly #shown = new Map<string, Set<string>>();

  set(successions: readonly Succession[], live: Iterable<string>): void {
    this.#heirs = grouped(successions.map(({ of, by }) => [of, by]));
    const predecessors = grouped(successions.map(({ of, by }) => [by, of]));
    this.#live = new Set(live);
    const liveBefore = (by: string) =>
      [...reached(predecessors, by)].filter((of) => this.#live.has(of));
    this.#before = new Map([...predecessors.keys()].map((by) => [by, liveBefore(by)]));
    for (const acceptor of this.#shown.keys()) {
      if (!this.#live.has(acceptor)) this.#shown.delete(acceptor);
    }
    for (const acceptor of this.#heard.keys()) {
      if (!this.#heirs.has(acceptor)) this.#heard.delete(acceptor);
    }
  }

  /** A link moves only to acceptors that started later: has it moved from `from` to `to`? */
  hasMoved(from: string, to: string): boolean {
    return reached(this.#heirs, from).has(to);
  }

  /** May the rows of this ended acceptor go offline? If not, `takeDue` gives the sweep later. */
  admits(sweep: Sweep): boolean {
    if (this.#maySweep(sweep.acceptor)) return true;
    this.#waiting.add(sweep);
    return false;
  }

  /** Each of its successors has told all of it, or has ended, and so on for those of that one. */
  #maySweep(acceptor: string): boolean {
    const heard = this.#heard.get(acceptor);
    return (this.#heirs.get(acceptor) ?? NOBODY).every(
      (heir) => heard?.has(heir) || (!this.#live.has(heir) && this.#maySweep(heir)),
    );
  }

  /** All that `by` has of `of` has been told, and is on record. */
  heard(of: string, by: string): void {
    this.#heard.set(of, (this.#heard.get(of) ?? new Set()).add(by));
  }

  /** What need not wait any longer. */
  takeDue(): Sweep[] {
    const due = [...this.#waiting].filter(({ acceptor }) => this.#maySweep(acceptor));
    for (const sweep of due) this.#waiting.delete(sweep);
    return due;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** It is on record that `acceptor` has told of this link. Gives the predecessors to be told. */
  shown(acceptor: string, connection: string): readonly string[] {
    const told = this.#before.get(acceptor) ?? NOBODY;
    for (const at of told) {
      this.#shown.set(at, (this.#shown.get(at) ?? new Set()).add(connection));
    }
    return told;
  }

  /** Those of them that are on record as its successors'. */
  recorded(predecessor: string, connections: readonly string[]): string[] {
    const known = this.#shown.get(predecessor);
    return known === undefined ? [] : connections.filter((id) => known.has(id));
  }
}

function grouped(pairs: readonly (readonly [string, string])[]): ByAcceptor {
  const groups = new Map<string, readonly string[]>();
  for (const [key, one] of pairs) groups.set(key, [...(groups.get(key) ?? []), one]);
  return groups;
}

/** All that can be come to from `from`, in any number of steps. */
function reached(ways: ByAcceptor, from: string): ReadonlySet<string> {
  const found = new Set(ways.get(from));
  for (const at of found) for (const next of ways.get(at) ?? NOBODY) found.add(next);
  return found;
}
