/**
 * Programs: what this machine has besides Node, for tests of the examples.
 * From: a try at import.  To: why a test is skipped, or `false`.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isNewEnough } from '../../../src/base/runtime.ts';

const ROOT = join(import.meta.dirname, '../../..');

/** A file of the repository, as in `at('examples/device.c')`. */
export const at = (path: string): string => join(ROOT, path);

export function missing(what: string, file: string, ...args: string[]): string | false {
  try {
    execFileSync(file, args, { stdio: 'ignore' });
    return false;
  } catch {
    return `no ${what} on this machine`;
  }
}

export const noCompiler = missing('C compiler', 'cc', '--version');
export const noMbedtls =
  noCompiler || missing('mbed TLS', 'test', '-e', '/usr/include/mbedtls/ssl.h');
export const noOpenssl = missing('openssl', 'openssl', 'version');
export const noPromtool = missing('promtool', 'promtool', '--version');
/** Debian has both in one package. */
export const noPrometheus = noPromtool || missing('Prometheus', 'prometheus', '--version');
export const noBunny = missing('Ruby with bunny', 'ruby', '-e', "require 'bunny'");
export const noSystemd = missing('systemd-analyze', 'systemd-analyze', '--version');
export const noSqlite = missing('sqlite3', 'sqlite3', '--version');

/** Debian's own Python has Debian's packages, whatever else is first in PATH. */
export const debianPython = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';
export const noPika = missing('Python with pika', debianPython, '-c', 'import pika');
export const noTools =
  missing('curl', 'curl', '--version') || missing('sysctl', '/sbin/sysctl', '--version');

/** A Node.js of this machine that cannot run Owsla, if there is one. */
export const oldNode = ['/usr/bin/node', '/usr/local/bin/node']
  .map((file) => ({ file, version: versionOf(file) }))
  .find(({ version }) => version !== undefined && !isNewEnough(version));

function versionOf(node: string): string | undefined {
  if (missing('Node.js', node, '--version') !== false) return undefined;
  const env = { ...process.env, NODE_OPTIONS: '' };
  return execFileSync(node, ['--version'], { encoding: 'utf8', env }).trim().slice(1);
}
