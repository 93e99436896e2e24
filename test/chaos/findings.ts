/**
 * Findings: broken promises, counted by their name, with examples.
 * From: books.ts, commandBooks.ts and willBooks.ts, each with sentences for its names.  To: the
 * failures and the table of a run.
 * Bound: EXAMPLES_MAX examples of each; the counts are whole.
 */
const EXAMPLES_MAX = 5;

export interface Found {
  count: number;
  readonly examples: string[];
}

export class Findings<Name extends string> extends Map<Name, Found> {
  readonly #sentences: Readonly<Record<Name, string>>;

  constructor(sentences: Readonly<Record<Name, string>>) {
    super();
    this.#sentences = sentences;
  }

  find(name: Name, example: string): void {
    const found = this.get(name) ?? { count: 0, examples: [] };
    found.count += 1;
    if (found.examples.length < EXAMPLES_MAX) found.examples.push(example);
    this.set(name, found);
  }

  /** A sentence for each that was found. */
  failures(): string[] {
    return [...this].map(([name, { count, examples }]) => {
      return `${count} ${this.#sentences[name]}: ${examples.join('; ')}`;
    });
  }

  /** Every one that there could be: its name, how often it was found, its sentence. */
  all(): (readonly [string, number, string])[] {
    const names = Object.keys(this.#sentences) as Name[];
    return names.map((name) => [name, this.get(name)?.count ?? 0, this.#sentences[name]]);
  }
}
