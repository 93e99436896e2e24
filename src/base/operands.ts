/**
 * Operands: words behind `--` are names and texts, whatever they begin with (POSIX, guideline 10).
 * From: the command lines, before and after yargs, which gives such words to no argument.
 * To: the same words where yargs puts all others. Pure.
 * Bound: the mark is a NUL, which no argument of a process can hold.
 */

const MARK = '\0';

/** `args` for yargs: what stands behind `--` and begins with `-` is marked, the `--` gone. */
export function markOperands(args: readonly string[]): string[] {
  const at = args.indexOf('--');
  if (at < 0) return [...args];
  const operands = args.slice(at + 1).map((word) => (word.startsWith('-') ? MARK + word : word));
  return [...args.slice(0, at), ...operands];
}

/** `text`, a word or a sentence with words in it, as it was given. */
export function unmarked(text: string): string {
  return text.replaceAll(MARK, '');
}
