/**
 * Docs: what a reader of a page would copy, type or load, and that each piece of it is tried.
 * From: README.md, examples/README.md, docs/.  To: the tests of test/system/docs/, block by block.
 * A test takes each block of its page where it defines its subtests; what nobody took is an error
 * at the end, so a new block without a test fails the page's own test file. That each page has
 * one, test/system/docs/census.test.ts sees to.
 * Bound: a fence that is not closed, or a block that is asked for and not there, is an Error.
 */
import { globSync, readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { at } from './processes/programs.ts';

/** What a fence may say. `text` is for drawings and for what commands print: nobody types it. */
export const LANGUAGES = ['sh', 'ruby', 'js', 'python', 'yaml', 'ini', 'json', 'tla', 'vectors'];

export interface Block {
  readonly page: string;
  readonly line: number;
  readonly language: string;
  readonly text: string;
}

export interface Inline {
  readonly page: string;
  readonly line: number;
  readonly text: string;
}

export const PAGES = [
  'README.md',
  'examples/README.md',
  ...globSync('docs/**/*.md', { cwd: at('.') }),
].sort();

export const readPage = (page: string): string => readFileSync(at(page), 'utf8');

/** Every fenced block, with its indentation taken off. */
export function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  let open: { indent: string; language: string; line: number; lines: string[] } | undefined;
  for (const [index, line] of readPage(page).split('\n').entries()) {
    const [, indent = '', language = ''] = /^( *)```(\S*) *$/.exec(line) ?? [];
    const isFence = line.trimStart().startsWith('```');
    if (open === undefined && isFence) open = { indent, language, line: index + 1, lines: [] };
    else if (open !== undefined && isFence) {
      const { lines, ...at } = open;
      const text = `${lines.map((line) => line.slice(at.indent.length)).join('\n')}\n`;
      blocks.push({ page, line: at.line, language: at.language, text });
      open = undefined;
    } else open?.lines.push(line);
  }
  if (open !== undefined) throw new Error(`${page}:${open.line}: the fence is not closed`);
  return blocks;
}

/** Every piece of inline code, one that goes over a line's end too. */
export function inlinesOf(page: string): Inline[] {
  const prose = readPage(page).replaceAll(/^( *)```[\s\S]*?^ *```/gm, (block) =>
    block.replaceAll(/[^\n]/g, ''),
  );
  return [...prose.matchAll(/`([^`]+)`/g)].map(({ 1: text = '', index }) => ({
    page,
    line: prose.slice(0, index).split('\n').length,
    text: text.replaceAll(/\s+/g, ' '),
  }));
}

export class Page {
  readonly name: string;
  readonly #left: Block[];

  constructor(name: string) {
    this.name = name;
    this.#left = blocksOf(name);
  }

  /** The first block of this language, not yet taken, that has these words. */
  take(language: string, words: string): string {
    const index = this.#left.findIndex(
      (block) => block.language === language && block.text.includes(words),
    );
    const [block] = index < 0 ? [] : this.#left.splice(index, 1);
    if (block === undefined) throw new Error(`${this.name} has no ${language} with: ${words}`);
    return block.text;
  }

  /** A piece of inline code that begins so, or is so. */
  inline(words: string): string {
    const found = inlinesOf(this.name).find(({ text }) => text.startsWith(words));
    if (found === undefined) throw new Error(`${this.name} does not say: ${words}`);
    return found.text;
  }

  /** All inline code that is so. */
  inlines(pattern: RegExp): string[] {
    return inlinesOf(this.name).flatMap(({ text }) => (pattern.test(text) ? [text] : []));
  }

  /** What a command prints, as the page shows it: the block of text with these words. */
  shown(words: string): string {
    return this.take('text', words);
  }

  /** Blocks that somebody could run and nobody did. */
  get untaken(): string[] {
    return this.#left
      .filter(({ language }) => LANGUAGES.includes(language))
      .map(({ page, line, language }) => `${page}:${line}: ${language}`);
  }
}

/** Tests of a page: `define` takes each of its blocks, and all have to be taken. */
export async function everyBlockOf(
  name: string,
  define: (page: Page, t: Test) => Promise<void>,
): Promise<void> {
  await t.test(name, async (t) => {
    const page = new Page(name);
    await define(page, t);
    t.same(page.untaken, [], 'every block is tried');
  });
}

/** The kinds of things in a value of JSON, by their names; of a list, those in its first. */
export function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf);
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value;
  const entries = Object.entries(value).map(([name, inner]) => [name, shapeOf(inner)] as const);
  return Object.fromEntries(entries);
}
