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

/**
 * Installs a tarball by README.md's commands, all below `folder`: without the Node of the first,
 * which is ours, and with what only root may do noted in `root/done`. Gives the folder of its
 * programs.
 */
export function install(folder: string, tarball: string, commands: string): string {
  const root = join(folder, 'root');
  const quick = '--prefer-offline --no-audit --no-fund --no-update-notifier';
  const placed = commands
    .replaceAll(/ (?=\/(?:opt|etc)\/)/g, ` ${root}`)
    .replace(/--allow-scripts=node node@\S+ \S+/, `${quick} ${tarball}`)
    .replace(' -o owsla', '');
  const note = `note() { echo "$@" >>${root}/done; }`;
  const roots = 'useradd() { note useradd "$@"; }\nsystemctl() { note systemctl "$@"; }';
  mkdirSync(join(root, 'etc/systemd/system'), { recursive: true });
  const script = `${note}\n${roots}\n${placed}`;
  const { status, stdout, stderr } = runPlain(folder, '/bin/sh', '-ec', script);
  if (status !== 0) throw new Error(`README.md's commands: ${stdout}${stderr}`);
  return join(root, 'opt/owsla/bin');
}
