/** The compiler and the linter as tests, so that one count tells all. Also in `make check`. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';

const ROOT = join(import.meta.dirname, '..');

/** Through env(1): tap puts itself into each Node process below it, and tsc does not bear that. */
function run(tool: string, ...args: string[]): { code: number | null; said: string } {
  const command = ['-u', 'NODE_OPTIONS', join(ROOT, 'node_modules/.bin', tool), ...args];
  const { status, stdout, stderr } = spawnSync('env', command, { cwd: ROOT, encoding: 'utf8' });
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
