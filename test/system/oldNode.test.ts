/** A Node that is too old is told in one sentence, by what is published and by the sources. */
import { copyFileSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { isNewEnough } from '../../src/base/runtime.ts';
import { runPlain } from '../helpers/processes/plain.ts';
import { at, oldNode } from '../helpers/processes/programs.ts';

const run = (...command: string[]) => runPlain('/', ...command);

/** As `npm run build` makes it, in a folder of its own. */
function built(): string {
  const folder = mkdtempSync(join(tmpdir(), 'owsla-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  copyFileSync(at('package.json'), join(folder, 'package.json'));
  symlinkSync(at('node_modules'), join(folder, 'node_modules'));
  const args = ['-p', at('.config/tsconfig.build.json'), '--outDir', join(folder, 'dist')];
  const made = run(at('node_modules/.bin/tsc'), ...args);
  if (made.status !== 0) throw new Error(`tsc: ${made.stdout}${made.stderr}`);
  return join(folder, 'dist');
}

const PROGRAMS = [
  ['owsla', 'src/cli/cli', ['serve']],
  ['owsla-loadgen', 'loadgen/cli', ['run', '--target', '127.0.0.1:1']],
] as const;

const dist = built();

/** A module that is loaded first and lies about the version. */
const LIE = `data:text/javascript,${encodeURIComponent(
  'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "26.4.9" } })',
)}`;

t.test('which versions are new enough', async (t) => {
  for (const version of ['26.5.0', '26.10.0', '27.0.0', '100.0.0']) t.ok(isNewEnough(version));
  for (const version of ['26.4.9', '25.99.0', '20.20.2', '14.0.0', '8.17.0']) {
    t.notOk(isNewEnough(version), version);
  }
});

for (const [program, path, args] of PROGRAMS) {
  const told = (version: string) =>
    new RegExp(
      `^${program}: needs Node.js 26.5 or later, and this is ${version} \\(/[^)\\n]+\\)\\n$`,
    );

  const skip = oldNode === undefined ? 'no old Node on this machine' : false;
  t.test(`${program}, compiled, in an old Node: one sentence, exit 78`, { skip }, async (t) => {
    const { file: node = '', version = '' } = oldNode ?? {};
    const { stderr, status, stdout } = run(node, join(dist, `${path}.js`), ...args);

    t.match(stderr, told(version));
    t.same([status, stdout], [78, '']);
  });

  t.test(`${program}, compiled or not, in a Node that is a little too old`, async (t) => {
    for (const file of [join(dist, `${path}.js`), at(`${path}.ts`)]) {
      const { stderr, status, stdout } = run(process.execPath, '--import', LIE, file, ...args);

      t.match(stderr, told('26.4.9'), file);
      t.same([status, stdout], [78, ''], file);
    }
  });

  t.test(`${program}, compiled, in this Node: it knows its commands`, async (t) => {
    const file = join(dist, `${path}.js`);
    const { stderr, status, stdout } = run(process.execPath, file, '--help');

    t.match(stdout, new RegExp(`^Commands:\\n  ${program} \\w`, 'm'));
    t.same([status, stderr], [0, '']);
  });
}
