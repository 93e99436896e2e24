/**
 * Findings: broken promises, counted by their name, with examples.
 * From: books.ts and commandBooks.ts.  To: the failures and the table of a run.
 * Bound: EXAMPLES_MAX examples of each; the counts are whole.
 */
const EXAMPLES_MAX = 5;

export interface Found {
  count: number;
  readonly examples: string[];
}

export class Findings<Name extends string> extends Map<Name, Found> {
  find(name: Name, example: string): void {
    const found = this.get(name) ?? { count: 0, examples: [] };
    found.count += 1;
    if (found.examples.length < EXAMPLES_MAX) found.examples.push(example);
    this.set(name, found);
  }
}
