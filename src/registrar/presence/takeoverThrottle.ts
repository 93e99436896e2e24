/**
 * TakeoverThrottle: delays repeated takeovers of one device id, as when two devices share it.
 * From: judge.ts, before each takeover.  To: recorder.ts, later; and a report of such a device.
 * Bound: after `takeoversMax` takeovers without `takeoverWindowMs` of quiet, one per
 * `takeoverDampMs`. Meanwhile the device's newest link waits, open, and the row names the older.
 * TRACKED_MAX devices are tracked; beyond that the one that was quiet longest is dropped.
 */
import type { Limits } from '../../base/limits.ts';
import type { Up } from '../store/presenceRules.ts';

const TRACKED_MAX = 10_000;

interface Spell {
  takeovers: number;
  /** The last takeover, in the clock's ms. */
  at: number;
}

export class TakeoverThrottle {
  readonly #limits: Limits;
  readonly #spells = new Map<string, Spell>();
  /** Devices that were beyond `takeoversMax` when last seen: at most those of `#spells`. */
  readonly #cloned = new Set<string>();
  /** The link that waits to take its device over. Invariant: the newest one seen. */
  #held = new Map<string, Up>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** Links that wait. */
  get size(): number {
    return this.#held.size;
  }

  held(device: string): Up | undefined {
    return this.#held.get(device);
  }

  /**
   * Ask before a takeover at `now`. True: do it. False: `up` is kept, and `due` gives it back.
   * If there is no room to keep it, the takeover is done at once.
   */
  admits(up: Up, now: number): boolean {
    const spell = this.#spell(up.device, now);
    const isCalm = spell.takeovers < this.#limits.takeoversMax;
    if (!isCalm && now < this.#dueAt(spell) && this.#held.size < TRACKED_MAX) {
      this.#held.set(up.device, up);
      return false;
    }
    spell.takeovers += 1;
    spell.at = now;
    if (spell.takeovers >= this.#limits.takeoversMax && this.#cloned.size < TRACKED_MAX) {
      this.#cloned.add(up.device);
    }
    return true;
  }

  /** Takeovers since the last quiet time. */
  takeovers(device: string): number {
    return this.#spells.get(device)?.takeovers ?? 0;
  }

  /** Devices with that many takeovers, whose quiet time has not come yet; at most `max`. */
  cloned(now: number, max: number): string[] {
    const found: string[] = [];
    for (const device of this.#cloned) {
      const spell = this.#spells.get(device);
      const isOver = spell === undefined || now - spell.at > this.#limits.takeoverWindowMs;
      if (isOver || spell.takeovers < this.#limits.takeoversMax) this.#cloned.delete(device);
      else if (found.push(device) === max) break;
    }
    return found;
  }

  #dueAt(spell: Spell): number {
    return spell.at + this.#limits.takeoverDampMs;
  }

  #spell(device: string, now: number): Spell {
    const known = this.#spells.get(device);
    const isOver = known === undefined || now - known.at > this.#limits.takeoverWindowMs;
    const spell = isOver ? { takeovers: 0, at: now } : known;
    // Moved to the end: the order of the map is that of the last takeovers.
    this.#spells.delete(device);
    this.#spells.set(device, spell);
    if (this.#spells.size > TRACKED_MAX) this.#spells.delete(firstOf(this.#spells.keys()) ?? '');
    return spell;
  }

  /** It waits no longer: it was admitted, or it ended. */
  release(device: string): void {
    this.#held.delete(device);
  }

  /** Those whose time has come, at most `max`. They stay held until `release`. */
  due(now: number, max: number): Up[] {
    const due: Up[] = [];
    for (const up of this.#held.values()) {
      if (due.length === max) break;
      const spell = this.#spells.get(up.device);
      if (spell === undefined || now >= this.#dueAt(spell)) due.push(up);
    }
    return due;
  }

  /** The links that wait now, for `restore` after a batch that was not recorded. */
  snapshot(): ReadonlyMap<string, Up> {
    return new Map(this.#held);
  }

  restore(held: ReadonlyMap<string, Up>): void {
    this.#held = new Map(held);
  }

  /** Drop an acceptor's waiting links for which `isOver` holds. */
  drop(acceptor: string, isOver: (connection: string) => boolean): void {
    for (const up of this.#held.values()) {
      if (up.acceptor === acceptor && isOver(up.connection)) this.#held.delete(up.device);
    }
  }
}

function firstOf<T>(items: Iterable<T>): T | undefined {
  for (const item of items) return item;
  return undefined;
}
