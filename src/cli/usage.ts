/**
 * Usage: what is wrong with the words that were given, and which ones may have been meant.
 * From: commandLine.ts, with what yargs says.  To: one sentence.
 * Bound: pure.
 */
import { LIMIT_NAMES } from '../base/limits.ts';
import { unmarked } from '../base/operands.ts';
import { redact } from '../base/redact.ts';
import { didYouMean } from '../base/units.ts';

/** What there is. */
interface Known {
  readonly argv: readonly string[];
  readonly commands: readonly string[];
  readonly flags: readonly string[];
}

/** yargs names what it does not know; the nearest flag or command is added. */
export function explainUsage(marked: string, { argv, commands, flags }: Known): string {
  const message = unmarked(marked);
  const unknown = /^Unknown (argument|command)s?: (.+)$/.exec(message);
  if (!unknown?.[2]) return message.replaceAll('\n', ' ').replace(/^[A-Z]/, lower);
  const words = unknown[2].split(', ');
  const given = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
  const short = given.find((flag) => /^-[^-]/.test(flag));
  if (short !== undefined && words.every((word) => short.includes(word))) {
    return `there is no flag ${quote(short)}; write -- before words that begin with -`;
  }
  const faults = words.map((word) => {
    if (unknown[1] === 'command' || !argv.some((one) => one.startsWith(`--${word}`))) {
      return `there is no command or argument ${quote(word)}${didYouMean(word, commands)}`;
    }
    if (LIMIT_NAMES.some((name) => name === word)) {
      return `--${word} is a limit: write --set ${word}=VALUE`;
    }
    if (flags.includes(word)) return `this command has no flag --${word}`;
    return `there is no flag --${word}${didYouMean(word, flags, '--')}`;
  });
  return faults.join('; ');
}

function lower(letter: string): string {
  return letter.toLowerCase();
}

/** As it was given, without its secrets. */
export function quote(text: string): string {
  return JSON.stringify(redact(text));
}
