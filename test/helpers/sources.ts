/**
 * Sources: the repository's own files, as the layout rules read them.
 * From: git's list of tracked and new files.  To: test/tidy.test.ts.
 * No parser: comments and strings are found by one expression and functions by their indentation,
 * which the formatter guarantees. Bound: good enough for rules, not for transformations.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

export interface Import {
  /** A path from the root for our own files, else the package's name. */
  readonly to: string;
  /** Erased before it runs: `import type`, or only names marked `type`. */
  readonly isType: boolean;
  readonly line: number;
}

export interface Source {
  /** From the root, with slashes. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  /** The text with comments blanked, line by line in place. */
  readonly code: string;
  /** The code with strings blanked too. */
  readonly bare: string;
  /** The text with its comments and without its strings. */
  readonly stringless: string;
  readonly imports: readonly Import[];
}

/** All files that are tracked or would be: what .gitignore names is left out. */
export function repositoryFiles(): string[] {
  const args = ['ls-files', '--cached', '--others', '--exclude-standard', '-z'];
  const listed = execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).split('\0');
  return listed.filter((path) => path !== '' && existsSync(join(ROOT, path))).sort();
}

export function readText(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

export function readSource(path: string): Source {
  const text = readText(path);
  const code = blank(text, (token) => token.startsWith('/'));
  const bare = blank(text, () => true);
  const stringless = text.replace(TOKEN, (token) =>
    token.startsWith('/') ? token : token.replace(/[^\n]/g, ''),
  );
  const imports = importsOf(path, code);
  return { path, text, lines: text.split('\n'), code, bare, stringless, imports };
}

const COMMENT = /\/\*[\s\S]*?\*\/|(?<![:\\])\/\/[^\n]*/;
const STRING = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/;
const TOKEN = new RegExp(`${COMMENT.source}|${STRING.source}`, 'g');

function blank(text: string, isBlanked: (token: string) => boolean): string {
  return text.replace(TOKEN, (token) => (isBlanked(token) ? token.replace(/[^\n]/g, ' ') : token));
}

const FROM = /\b(?:import|export)\s+(type\s)?([^'";]*?)\bfrom\s+'([^']+)'/g;
const BARE = /\bimport\s*\(?\s*'([^']+)'/g;

function importsOf(path: string, code: string): Import[] {
  const lineAt = (index: number) => code.slice(0, index).split('\n').length;
  const imports: Import[] = [];
  for (const { 1: type, 2: names = '', 3: to = '', index } of code.matchAll(FROM)) {
    const isType = type !== undefined || everyNameIsType(names);
    imports.push({ to: resolve(path, to), isType, line: lineAt(index) });
  }
  for (const { 1: to = '', index } of code.matchAll(BARE)) {
    imports.push({ to: resolve(path, to), isType: false, line: lineAt(index) });
  }
  return imports;
}

function everyNameIsType(clause: string): boolean {
  const names = /^\s*\{([\s\S]*)\}\s*$/.exec(clause)?.[1];
  if (names === undefined) return false;
  return names.split(',').every((name) => name.trim() === '' || name.trim().startsWith('type '));
}

function resolve(path: string, to: string): string {
  return to.startsWith('.') ? normalize(join(dirname(path), to)) : packageOf(to);
}

function packageOf(to: string): string {
  if (to.startsWith('node:')) return to;
  return to
    .split('/')
    .slice(0, to.startsWith('@') ? 2 : 1)
    .join('/');
}

export interface FunctionSpan {
  readonly name: string;
  readonly line: number;
  readonly length: number;
}

const NOT_A_FUNCTION =
  /^\s*(?:\} )?(?:if|for|while|switch|catch|else|do|try|finally|class|interface)\b/;
const OPENS = /(?:=>|\)(?:\s*:\s*[^=]+)?)\s*\{$/;

/** Functions that span lines: from the line that names them to the brace at the same indent. */
export function functionsOf(source: Source): FunctionSpan[] {
  const lines = source.bare.split('\n');
  const indentOf = (line: string) => line.length - line.trimStart().length;
  const spans: FunctionSpan[] = [];
  lines.forEach((line, at) => {
    const trimmed = line.trimEnd();
    if (!OPENS.test(trimmed) || NOT_A_FUNCTION.test(trimmed)) return;
    const indent = indentOf(line);
    // A signature over several lines: its own line is the last one before it at this indent.
    let first = at;
    if (line.trimStart().startsWith(')')) {
      do first -= 1;
      while (first > 0 && (lines[first]?.trim() === '' || indentOf(lines[first] ?? '') > indent));
    }
    const head = lines[first] ?? '';
    if (NOT_A_FUNCTION.test(head)) return;
    const isEnd = (other: string) => other.startsWith('}', indent) && indentOf(other) === indent;
    const last = lines.findIndex((other, index) => index > at && isEnd(other));
    if (last > at) spans.push({ name: head.trim(), line: first + 1, length: last - first + 1 });
  });
  return spans;
}
