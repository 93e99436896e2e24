/**
 * Heirs: to which successor each link is offered: to all of them in turn, so that they share what
 * comes; one that has refused a link (it is full) is not asked for that link again.
 * From: giver.ts, with its order, refusals and ends.  To: the same.
 * Bound: the successors of one order; refusals as long as the link lives.
 */
export class Heirs<Link extends object> {
  #names: readonly string[];
  #turn = 0;
  readonly #refused = new WeakMap<Link, Set<string>>();

  constructor(names: readonly string[]) {
    this.#names = names;
  }

  get size(): number {
    return this.#names.length;
  }

  /** Somebody may still take it. */
  canTake(link: Link): boolean {
    const refused = this.#refused.get(link);
    return this.#names.some((name) => refused?.has(name) !== true);
  }

  /** Undefined: all have refused it. */
  next(link: Link): string | undefined {
    const refused = this.#refused.get(link);
    for (let tries = 0; tries < this.#names.length; tries += 1) {
      const name = this.#names[this.#turn % this.#names.length];
      this.#turn += 1;
      if (name !== undefined && refused?.has(name) !== true) return name;
    }
    return undefined;
  }

  refuse(link: Link, name: string): void {
    this.#refused.set(link, (this.#refused.get(link) ?? new Set()).add(name));
  }

  /** Its end was seen. */
  remove(name: string): void {
    this.#names = this.#names.filter((other) => other !== name);
  }
}
