/**
 * Packed: the package as it would be published, and an installation of it.
 * From: the repository's files, copied, so that nobody else's dist/ is touched or packed.
 * To: a tarball, its list of files, and a folder of programs, all below one folder.
 * Bound: plain.ts's, for each npm command. Packages come from npm's cache or its registry.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryFiles } from '../sources.ts';
import { runPlain } from './plain.ts';
import { at } from './programs.ts';

function npm(cwd: string, ...args: string[]): void {
  const { status, stdout, stderr } = runPlain(cwd, 'npm', ...args, '--no-update-notifier');
  if (status !== 0) throw new Error(`npm ${args[0]}: ${stdout}${stderr}`);
}

export interface Packed {
  readonly tarball: string;
  /** Each file of the package, from its root. */
  readonly files: readonly string[];
}

/** Builds and packs what git knows of, below `folder`. Throws what npm and tsc said. */
export function pack(folder: string): Packed {
  const tree = join(folder, 'tree');
  for (const path of repositoryFiles()) cpSync(at(path), join(tree, path));
  symlinkSync(at('node_modules'), join(tree, 'node_modules'));
  const out = join(folder, 'out');
  mkdirSync(out);
  npm(tree, 'pack', '--pack-destination', out);
  const [name = '', ...others] = readdirSync(out);
  if (others.length > 0) throw new Error(`npm pack made ${name} and ${others.join(', ')}`);
  const tarball = join(out, name);
  const listed = execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' }).trim().split('\n');
  return { tarball, files: listed.map((path) => path.replace(/^package\//, '')) };
}

/** Installs a tarball into an empty prefix below `folder`; gives the folder of its programs. */
export function install(folder: string, tarball: string): string {
  const prefix = join(folder, 'prefix');
  const quick = ['--prefer-offline', '--no-audit', '--no-fund'];
  npm(folder, 'install', '--global', '--prefix', prefix, ...quick, tarball);
  return join(prefix, 'bin');
}
