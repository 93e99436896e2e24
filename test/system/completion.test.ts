/** `owsla completion bash`, in a real bash. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { cleanEnvironment } from '../helpers/processes/environment.ts';
import { at } from '../helpers/processes/programs.ts';

const folder = mkdtempSync(join(tmpdir(), 'owsla-completion-'));
t.teardown(() => rmSync(folder, { recursive: true }));
const owsla = join(folder, 'owsla');
writeFileSync(owsla, `#!/bin/sh\nexec '${process.execPath}' '${at('src/cli/cli.ts')}' "$@"\n`);
chmodSync(owsla, 0o755);

/** What bash would offer for these words, the last one unfinished: all in one bash. */
function offers(...lines: readonly string[]): string[][] {
  const asks = lines.map((line) => {
    const words = line.split(' ').map((word) => `'${word}'`);
    return `COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _owsla; echo "\${COMPREPLY[*]}"`;
  });
  const script = ['set -eu', 'eval "$(owsla completion bash)"', 'complete -p owsla', ...asks];
  const env = { ...cleanEnvironment(), PATH: `${folder}:${process.env.PATH}`, SHELL: '/bin/zsh' };
  const output = execFileSync('bash', ['--norc', '-c', script.join('\n')], {
    env,
    encoding: 'utf8',
  });
  const [registered, ...answers] = output.trimEnd().split('\n');
  t.match(registered, /^complete .*-F _owsla owsla$/);
  return answers.map((answer) => answer.split(' ').filter(Boolean));
}

t.test('bash completes commands, flags, and words of a command', async (t) => {
  const [commands, flags, shells] = offers('owsla b', 'owsla serve --tls-c', 'owsla key de');

  t.same(commands?.toSorted(), ['block', 'blocked']);
  t.same(flags?.toSorted(), ['--tls-cert', '--tls-client-ca', '--tls-client-cert', '--tls-crl']);
  t.same(shells, ['derive']);
});
