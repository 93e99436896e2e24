/**
 * The specifications and what belongs to them: every rule has its mutant, every mutant its row in
 * the docs, every model its configuration, and the code names only actions that exist.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { MUTANTS } from '../../tla/mutants.ts';
import { DEEP, QUICK } from '../../tla/run.ts';

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

const sorted = (names: Iterable<string>) => [...new Set(names)].sort();

t.test('tla: each rule of a specification has a mutant, and each mutant a rule', async (t) => {
  for (const spec of ['Presence', 'Routing', 'Lease', 'Commands', 'Will'] as const) {
    const rules = [...read(`tla/${spec}.tla`).matchAll(/\bHas\("(\w+)"\)/g)].map(
      ([, rule]) => rule,
    );
    const mutants = MUTANTS.filter((mutant) => mutant.spec === spec).map(({ rule }) => rule);

    t.same(sorted(mutants), sorted(rules.map(String)), spec);
    t.equal(new Set(mutants).size, mutants.length, `${spec}: each once`);
  }
});

t.test('tla: docs/presence-spec.md has a row for each mutant', async (t) => {
  const page = read('docs/presence-spec.md');
  const missing = MUTANTS.filter(
    ({ spec, rule, says }) => !page.includes(`| ${spec} | ${says} | \`${rule}\` |`),
  );

  t.same(missing, []);
});

t.test('tla: every configuration is run by make tla or make tla-deep', async (t) => {
  const configs = globSync('*.cfg', { cwd: join(ROOT, 'tla') }).map((name) => name.slice(0, -4));

  t.same(sorted([...QUICK, ...DEEP]), sorted(configs));
});

t.test('tla: the code names only actions that the specification has', async (t) => {
  const named = globSync('src/**/*.ts', { cwd: ROOT }).flatMap((path) =>
    [...read(path).matchAll(/tla: ([^\n*]*)/g)].flatMap(([, list = '']) =>
      [...list.matchAll(/\b(\w+)!(\w+)/g)].map(([, spec = '', action = '']) => ({ spec, action })),
    ),
  );

  t.ok(named.length > 0);
  t.same(
    named.filter(
      ({ spec, action }) => !new RegExp(`^${action}\\b`, 'm').test(read(`tla/${spec}.tla`)),
    ),
    [],
  );
});
