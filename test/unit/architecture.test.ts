/**
 * docs/architecture.md shows what is there: its files exist, its lines follow imports, and no
 * folder of src/ is left out.
 * From: the page and the imports of src/.  To: one line for each breach.
 * Bound: a line is what its section draws: tokens between blanks; what is no file is a word.
 */
import { existsSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import t from 'tap';
import { blocksOf } from '../helpers/docs.ts';
import { at } from '../helpers/processes/programs.ts';
import { readSource, readText, repositoryFiles } from '../helpers/sources.ts';

const PAGE = 'docs/architecture.md';
const page = readText(PAGE);
const inSrc = repositoryFiles().filter((path) => path.startsWith('src/'));

/** They put their process together, and hand each part what it needs. */
const ROOTS = [
  // One root in some files: it would be too long for one.
  ['acceptor', 'devices', 'moving', 'shared', 'ways'].map((name) => `src/acceptor/${name}.ts`),
  'src/acceptor/acceptorBroker.ts',
  ['registrar', 'commandParts', 'willParts'].map((name) => `src/registrar/${name}.ts`),
  'src/registrar/registrarBroker.ts',
  'src/observer/observer.ts',
];

const SECTIONS = ['EVENT', 'REQUEST and REPLY', 'COMMAND', 'RESULT', 'A change of presence'];
const QUESTIONS = 19;

const imported = new Map(
  inSrc
    .filter((path) => path.endsWith('.ts'))
    .map((path) => [path, new Set(readSource(path).imports.map(({ to }) => to))]),
);
const doesImport = (from: string, to: string) => imported.get(from)?.has(to) === true;
const importsBoth = (root: string | readonly string[], a: string, b: string) => {
  const files = [root].flat();
  return [a, b].every((to) => files.some((path) => doesImport(path, to)));
};

/** What each arrow of the page promises about the files before and behind it. */
const ARROWS: Readonly<Record<string, (a: string, b: string) => boolean>> = {
  '->': (a, b) => doesImport(a, b),
  '=>': (a, b) => doesImport(b, a) || ROOTS.some((root) => importsBoth(root, a, b)),
  '~>': (a, b) =>
    inSrc
      .filter((word) => word.startsWith('src/node/'))
      .some((word) => (word === a || doesImport(a, word)) && doesImport(b, word)),
  // Files have no TCP between them: a device or RabbitMQ is at one end.
  '..>': () => false,
};

/** `src/acceptor/acceptor.ts` for a file that the page names; undefined for a word. */
const fileOf = (token: string) => (/^\w+\/[\w/]+\.ts$/.test(token) ? `src/${token}` : undefined);

interface Line {
  /** How many steps have a file at both ends. */
  steps: number;
  readonly breaches: string[];
}

/** Follow one line of the page: what is in brackets begins where the bracket does. */
function follow(text: string): Line {
  const line: Line = { steps: 0, breaches: [] };
  const before: (string | undefined)[] = [];
  let last: string | undefined;
  let arrow = '';
  for (const token of text.match(/\(|\)|[^\s()]+/g) ?? []) {
    const file = fileOf(token.replace(/[,:;]$/, ''));
    if (token === '(') before.push(last);
    else if (token === ')') last = before.pop();
    else if (token in ARROWS) {
      arrow = token;
      continue;
    } else {
      line.breaches.push(...breachesOf(last, arrow, file, token));
      if (last && file) line.steps += 1;
      // In a bracket words explain the file before it.
      if (file !== undefined || before.length === 0) last = file;
    }
    arrow = '';
  }
  return line;
}

function breachesOf(last: string | undefined, arrow: string, file: string | undefined, to: string) {
  const step = `${last ?? '(a word)'} ${arrow} ${to}`;
  if (arrow === '') return last && file ? [`${step}: no arrow between them`] : [];
  if (last && file) return ARROWS[arrow]?.(last, file) ? [] : [`${step}: is not so`];
  return arrow === '..>' ? [] : [`${step}: a file is missing`];
}

/** The lines of a block: paragraphs, without the words that announce them. */
const linesOf = (block: string) => block.split(/\n\n/).map((text) => text.replace(/^.*:$/m, ''));

const [, paths = ''] = /\n## Paths\n([\s\S]*?)\n## /.exec(page) ?? [];
const sections = paths.split(/\n### /).slice(1);

t.test('architecture: every file and folder that the page names exists', async (t) => {
  const named = [...page.matchAll(/[\w./-]*\w(?:\.(?:ts|md|tla)\b|\/(?=`))/g)].map(
    ([name]) => name,
  );
  const isThere = (name: string) => {
    if (!name.includes('/')) return inSrc.some((path) => basename(path) === name);
    return existsSync(at(`src/${name}`)) || existsSync(at(name)) || existsSync(at(`docs/${name}`));
  };

  t.ok(named.length > 100);
  t.same(
    named.filter((name) => !isThere(name) && !existsSync(at(`docs/${name}`))),
    [],
  );
});

t.test('architecture: in each line each file imports the next, or is handed it', async (t) => {
  let steps = 0;
  for (const { text } of blocksOf(PAGE).filter(({ text }) => /\w\.ts [-=~]>/.test(text))) {
    for (const line of linesOf(text).map(follow)) {
      t.same(line.breaches, []);
      steps += line.steps;
    }
  }

  t.ok(steps > 80, `${steps} steps`);
});

t.test('architecture: a line that is not so is found', async (t) => {
  const wrong = (text: string) => follow(text).breaches.length;

  t.equal(wrong('acceptor/route/uplink.ts -> broker/publisher.ts ..> RabbitMQ'), 0);
  t.equal(wrong('broker/publisher.ts -> acceptor/route/uplink.ts'), 1, 'the wrong way');
  t.equal(wrong('broker/publisher.ts => registrar/store/sqliteFile.ts'), 1, 'nobody hands it');
  t.equal(wrong('acceptor/linkChanges.ts ~> supervisor/supervisor.ts'), 1, 'no word in common');
  t.equal(wrong('acceptor/route/uplink.ts ..> broker/publisher.ts'), 1, 'no TCP');
  t.equal(wrong('acceptor/route/uplink.ts broker/publisher.ts'), 1, 'no arrow');
  t.equal(wrong('RabbitMQ -> broker/publisher.ts'), 1, 'no file');
});

t.test('architecture: each kind of message has its line, and what can fail', async (t) => {
  for (const name of SECTIONS) {
    const section = sections.find((text) => text.startsWith(name)) ?? '';
    t.match(section, /```text\n/, `${name}: a line`);
    t.match(section, /^\| step \| what can fail \| who notices/m, `${name}: what can fail`);
  }
  const strange = sections.flatMap((text) => {
    const [, line = ''] = /```text\n([\s\S]*?)```/.exec(text) ?? [];
    return [...text.matchAll(/^\| `([\w/]+\.ts)`/gm)]
      .map(([, file = '']) => file)
      .filter((file) => !line.includes(file));
  });
  t.same(strange, [], 'what can fail is told of files of the line');
});

t.test('architecture: every folder of src/ has its line', async (t) => {
  const folders = new Set(inSrc.map((path) => `${dirname(path).slice('src/'.length)}/`));

  t.ok(folders.size > 10);
  for (const folder of folders) t.match(page, `\n| \`${folder}\` | `, folder);
});

t.test(`architecture: ${QUESTIONS} questions have answers that name a file`, async (t) => {
  const [, table = ''] = page.split(/\n\| question \| answer \|\n/);
  const rows = table.split('\n').filter((line) => /^\| [^-]/.test(line));

  t.equal(rows.length, QUESTIONS);
  for (const row of rows) t.match(row, /\| .*\? .*\| .*`[\w/]+\.ts`/);
});

t.test('architecture: the page stays short', async (t) => {
  t.ok(page.split('\n').length <= 310);
});
