/**
 * Report: the tables and plots of docs/performance.md, from one benchmark's results.
 * From: results.ndjson.  To: the page's generated blocks, `<!-- name -->` to `<!-- /name -->`, and
 * the SVGs beside it; what people wrote around them stays. `--print` prints the tables only.
 * `node bench/peers/report.ts [bench/peers/results.ndjson] [--print]`
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Figures } from './figures.ts';
import { makePlots } from './plots.ts';
import { readResults } from './results.ts';
import { makeBlocks } from './tables.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { print: { type: 'boolean', default: false } },
});
const [file = join(import.meta.dirname, 'results.ndjson')] = positionals;
const DOCS = join(import.meta.dirname, '../../docs');
const figures = new Figures(readResults(file));
const blocks = makeBlocks(figures);

if (values.print) {
  for (const [name, block] of Object.entries(blocks)) console.log(`\n${name}\n\n${block}`);
} else {
  const page = join(DOCS, 'performance.md');
  const pattern = /<!-- (\w+) -->[\s\S]*?<!-- \/\1 -->/g;
  const made = readFileSync(page, 'utf8').replace(pattern, (whole, name: string) => {
    const block = blocks[name];
    return block === undefined ? whole : `<!-- ${name} -->\n${block}\n<!-- /${name} -->`;
  });
  writeFileSync(page, made);
  mkdirSync(join(DOCS, 'performance'), { recursive: true });
  for (const [name, svg] of Object.entries(makePlots(figures))) {
    writeFileSync(join(DOCS, 'performance', `${name}.svg`), svg);
  }
  console.log(`wrote ${page} and its plots`);
}
