/** The compiler and the linter as tests, so that one count tells all. Also in `make check`. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';

const ROOT = join(import.meta.dirname, '..');

function run(tool: string, ...args: string[]): { code: number | null; said: string } {
  const file = join(ROOT, 'node_modules/.bin', tool);
  const { status, stdout, stderr } = spawnSync(file, args, { cwd: ROOT, encoding: 'utf8' });
  return { code: status, said: `${stdout}${stderr}` };
}

t.test('checks: the compiler finds nothing to say about any file', async (t) => {
  const { code, said } = run('tsc', '--noEmit');

  t.equal(code, 0, said);
});

t.test('checks: the linter and formatter find nothing to say about any file', async (t) => {
  const { code, said } = run('biome', 'check', '--error-on-warnings', '--colors=off');

  t.equal(code, 0, said);
});
