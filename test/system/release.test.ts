/** `.ci/release.sh check` in repositories of its own, and the versions of this one. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { runPlain } from '../helpers/processes/plain.ts';
import { at } from '../helpers/processes/programs.ts';

const WHO = ['-c', 'user.name=test', '-c', 'user.email=test@localhost'];

interface Tree {
  readonly version?: string;
  readonly locked?: string;
  readonly newest?: string;
}

/** A clean tree of one commit, with what the check reads. */
function tree(t: Test, { version = '1.2.3', locked = version, newest }: Tree = {}): string {
  const folder = t.testdir({
    'package.json': JSON.stringify({ version }),
    'package-lock.json': JSON.stringify({ version: locked, packages: { '': { version: locked } } }),
    'CHANGELOG.md': `# Changelog\n\n## ${newest ?? `${version} - 2026-11-28`}\n\n- All.\n`,
    '.ci': {},
  });
  copyFileSync(at('.ci/release.sh'), join(folder, '.ci/release.sh'));
  git(folder, 'init', '--quiet');
  commit(folder);
  return folder;
}

function git(folder: string, ...args: string[]): void {
  execFileSync('git', [...WHO, ...args], { cwd: folder, stdio: 'pipe' });
}

function commit(folder: string): void {
  git(folder, 'add', '--all');
  git(folder, 'commit', '--quiet', '--allow-empty', '--message', 'A tree');
}

function check(folder: string) {
  const { status, stdout, stderr } = runPlain(folder, 'sh', '.ci/release.sh', 'check');
  return [status, stdout + stderr];
}

t.test('release: a clean tree with one version and its section may go', async (t) => {
  const folder = tree(t);
  t.same(check(folder), [0, '']);

  git(folder, 'tag', 'v1.2.3');
  t.same(check(folder), [0, ''], 'its own tag is no hindrance');
});

t.test('release: each thing that is missing is said, and nothing goes', async (t) => {
  const cases: readonly [Tree, RegExp][] = [
    [{ locked: '1.2.2' }, /^release: package.json says 1.2.3, package-lock.json 1.2.2: run npm/],
    [{ newest: 'Unreleased' }, /^release: the newest section of CHANGELOG.md is 'Unreleased', not/],
    [{ newest: '1.2.2 - 2026-11-21' }, /is '1.2.2 - 2026-11-21', not '1.2.3 - YYYY-MM-DD'/],
    [{ newest: '1.2.3' }, /is '1.2.3', not '1.2.3 - YYYY-MM-DD'/],
  ];
  for (const [index, [what, sentence]] of cases.entries()) {
    await t.test(`case ${index + 1}`, async (t) => {
      const [status, said] = check(tree(t, what));
      t.equal(status, 1);
      t.match(said, sentence);
    });
  }
});

t.test('release: a file that is changed or new is named', async (t) => {
  const folder = tree(t);
  mkdirSync(join(folder, 'src'));
  writeFileSync(join(folder, 'src/new.ts'), '');

  const [status, said] = check(folder);

  t.equal(status, 1);
  t.equal(said, 'release: the tree is not clean:\n?? src/\n');
});

t.test('release: a version that another commit is tagged with does not go again', async (t) => {
  const folder = tree(t);
  git(folder, 'tag', '--annotate', '--message', 'first', 'v1.2.3');
  commit(folder);

  t.same(check(folder), [1, 'release: v1.2.3 is tagged already, at another commit\n']);
});

t.test(
  'release: here, the lock file and the changelog have the version, programs too',
  async (t) => {
    const read = (path: string) => readFileSync(at(path), 'utf8');
    const { version, bin } = JSON.parse(read('package.json'));
    const { packages, ...lock } = JSON.parse(read('package-lock.json'));
    const sections = [...read('CHANGELOG.md').matchAll(/^## (.*)$/gm)].map(
      ([, title = '']) => title,
    );
    const dated = sections.filter((title) => title !== 'Unreleased');

    t.same([lock.version, packages[''].version], [version, version]);
    t.same(packages[''].bin, bin);
    t.match(dated[0], new RegExp(`^${version} - `));
    for (const title of dated) t.match(title, /^\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d$/);
    t.ok(sections.indexOf('Unreleased') <= 0, 'what is unreleased comes first');
  },
);
