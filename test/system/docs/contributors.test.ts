/** docs/ for contributors: how to work, figures, the specification, the vectors of protocol.md. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { fetched } from '../../../tla/tlc.ts';
import { everyBlockOf, readPage } from '../../helpers/docs.ts';
import { at } from '../../helpers/processes/programs.ts';
import { loadVectors } from '../../helpers/vectors.ts';
import { DocsWorld } from '../../helpers/worlds/docsWorld.ts';

// Where commands write: the report its page, the formatter what it mends.
const world = await DocsWorld.make(t, ['bench', 'docs', 'src', 'test']);

/** Flags that a make target hands on, against the program that takes them. */
function takesFlags(t: Test, block: string, program: string): void {
  const text = readFileSync(at(program), 'utf8');
  const defaults = /\boptions\(\{([\s\S]*?)\n\}\);/.exec(text)?.[1] ?? '';
  for (const [, flag = ''] of block.matchAll(/ ['"]?--([\w-]+)/g))
    t.match(defaults, new RegExp(`\\b${flag}: `));
}

await everyBlockOf('docs/CONTRIBUTING.md', async (page, t) => {
  const setUp = page.take('sh', '# npm packages');
  const loop = page.take('sh', 'make test FILES=');
  const release = page.take('sh', 'make release');

  t.test('what it has contributors run', async (t) => {
    for (const [, file = ''] of loop.matchAll(/([\w/]+\.test\.ts)/g))
      t.ok(existsSync(at(file)), file);
    for (const block of [setUp, loop, release]) await world.ends(t, block);
  });
});

await everyBlockOf('docs/performance.md', async (page, t) => {
  const block = page.take('sh', 'make bench-peers');

  t.test('the page again, from results', async (t) => {
    takesFlags(t, block.replaceAll(/^node.*$/gm, ''), 'bench/peers/run.ts');
    const said = await world.ends(t, block);
    t.match(said, /^node bench\/peers\/run\.ts --rounds 5 --seconds 10$/m, 'looked up');
    const made = readFileSync(join(world.folder, 'docs/performance.md'), 'utf8');
    t.equal(made, readPage('docs/performance.md'), 'no word of it is another');
  });
});

await everyBlockOf('docs/presence-spec.md', async (page, t) => {
  const models = page.take('sh', 'make tla-mutants');
  const traces = page.take('sh', 'make tla-trace TRACES');
  const parts = [page.take('tla', 'End(c)'), page.take('tla', 'RegistrarCrash')];
  const noTlc = await fetched();

  t.test('what it quotes of the specification stands there', async (t) => {
    const names = readdirSync(at('tla')).filter((name) => name.endsWith('.tla'));
    const all = names.map((name) => readFileSync(at(`tla/${name}`), 'utf8')).join('\n');
    for (const part of parts) t.ok(all.includes(part), part);
  });

  t.test(
    'models are looked up; a trace is made and judged',
    { skip: noTlc ?? false },
    async (t) => {
      // All its scenarios are minutes; one of them follows.
      const real = models.replace(/^make tla-trace .*$/m, (line) => `make -n ${line.slice(5)}`);
      t.match(await world.ends(t, real), /node tla\/run\.ts --deep/);
      // The same once more, for FOLDER stands for any: looked up.
      const said = await world.ends(t, traces.replace(/make (?=.*FOLDER)/, 'make -n '));
      t.equal(said.match(/a behaviour of Presence/g)?.length, 2, said);
    },
  );
});

await everyBlockOf('docs/protocol.md', async (page, t) => {
  const vectors = page.take('vectors', 'hello');
  // Codecs and device.c are tried against each: test/unit/, examples/vectors.c.
  t.equal(loadVectors().length, vectors.split('\n').filter((line) => line.includes(' | ')).length);
});
