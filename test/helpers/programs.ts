/**
 * Programs: what this machine has besides Node, for tests of the examples.
 * From: a try at import.  To: why a test is skipped, or `false`.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

/** A file of the repository, as in `at('examples/device.c')`. */
export const at = (path: string): string => join(ROOT, path);

function missing(what: string, file: string, ...args: string[]): string | false {
  try {
    execFileSync(file, args, { stdio: 'ignore' });
    return false;
  } catch {
    return `no ${what} on this machine`;
  }
}

export const noCompiler = missing('C compiler', 'cc', '--version');
export const noPromtool = missing('promtool', 'promtool', '--version');
export const noBunny = missing('Ruby with bunny', 'ruby', '-e', "require 'bunny'");
