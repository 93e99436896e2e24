/**
 * Successions: whose links move to whom in a reload; what has to wait for that, and who is told.
 * From: the supervisor's list, by recorder.ts, before either of two acceptors can end; what their
 * streams say.  To: recorder.ts: which of two acceptors has a link, and whose rows may go offline.
 * Bound: the supervisor's list; while a predecessor lives, the connections that its successors have
 * told of; one waiting sweep for each predecessor that has ended.
 */
import type { Succession } from '../../node/ipc.ts';
import type { Sweep } from './changes.ts';

export class Successions {
  /** By predecessor. */
  #heirs: ReadonlyMap<string, string> = new Map();
  /** By successor. */
  #predecessors: ReadonlyMap<string, string> = new Map();
  #live: ReadonlySet<string> = new Set();
  /** Predecessors of which all has been told. Forgotten with this process: it is told again. */
  readonly #heard = new Set<string>();
  /** Rows of ended ones, which their successors may still tell of. */
  readonly #waiting = new Set<Sweep>();
  /** By live predecessor: connections that are on record as its successors'. */
  readonly #shown = new Map<string, Set<string>>();

  set(successions: readonly Succession[], live: Iterable<string>): void {
    this.#heirs = new Map(successions.map(({ of, by }) => [of, by]));
    this.#predecessors = new Map(successions.map(({ of, by }) => [by, of]));
    this.#live = new Set(live);
    for (const acceptor of this.#shown.keys()) {
      if (!this.#live.has(acceptor)) this.#shown.delete(acceptor);
    }
    for (const acceptor of this.#heard) {
      if (!this.#heirs.has(acceptor)) this.#heard.delete(acceptor);
    }
  }

  /** A link moves only to acceptors that started later: has it moved from `from` to `to`? */
  hasMoved(from: string, to: string): boolean {
    for (let at = this.#heirs.get(from); at !== undefined; at = this.#heirs.get(at)) {
      if (at === to) return true;
    }
    return false;
  }

  /** May the rows of this ended acceptor go offline? If not, `takeDue` gives the sweep later. */
  admits(sweep: Sweep): boolean {
    if (this.#maySweep(sweep.acceptor)) return true;
    this.#waiting.add(sweep);
    return false;
  }

  #maySweep(acceptor: string): boolean {
    let at = acceptor;
    for (;;) {
      const heir = this.#heirs.get(at);
      if (heir === undefined || this.#heard.has(at)) return true;
      if (this.#live.has(heir)) return false;
      at = heir;
    }
  }

  /** All that there is of `of` has been told, and is on record. */
  heard(of: string): void {
    this.#heard.add(of);
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
  shown(acceptor: string, connection: string): string[] {
    const told: string[] = [];
    let at = this.#predecessors.get(acceptor);
    for (; at !== undefined; at = this.#predecessors.get(at)) {
      if (!this.#live.has(at)) continue;
      const known = this.#shown.get(at) ?? new Set();
      this.#shown.set(at, known.add(connection));
      told.push(at);
    }
    return told;
  }

  /** Those of them that are on record as its successors'. */
  recorded(predecessor: string, connections: readonly string[]): string[] {
    const known = this.#shown.get(predecessor);
    return known === undefined ? [] : connections.filter((id) => known.has(id));
  }
}
