/** The pages lead somewhere: each link to a file or a heading, and each page from the index. */
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { at } from '../helpers/processes/programs.ts';
import { readText, repositoryFiles } from '../helpers/sources.ts';

const files = repositoryFiles();
const pages = files.filter((path) => path.endsWith('.md'));

/** The page without its blocks of code. */
function proseOf(path: string): string {
  return readText(path).replace(/^( *)```[\s\S]*?^\1```/gm, '');
}

/** The anchors of a page, as the hosts of repositories make them from its headings. */
function anchorsOf(path: string): string[] {
  const headings = [...proseOf(path).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** What is wrong with a link of `page`, if it is one to our own files. */
function wrong(page: string, link: string): string | undefined {
  if (/^\w+:/.test(link)) return undefined;
  const [file = '', anchor] = link.split('#');
  const target = file === '' ? page : normalize(join(dirname(page), file));
  if (!existsSync(at(target))) return `${page}: ${link} is no file`;
  if (anchor === undefined || anchorsOf(target).includes(anchor)) return undefined;
  return `${page}: ${link} is no heading of ${target}`;
}

t.test('docs: every link leads to a file, and to a heading of it', async (t) => {
  const breaches = pages.flatMap((page) =>
    [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link = '']) => wrong(page, link))
      .filter((what) => what !== undefined),
  );

  t.same(breaches, []);
});

t.test('docs: the index has every page', async (t) => {
  const index = readText('docs/README.md');
  const missing = pages
    .filter((path) => /^docs\/[^/]+\.md$/.test(path) && path !== 'docs/README.md')
    .filter((path) => !index.includes(`](${path.replace('docs/', '')}`));

  t.same(missing, []);
});

t.test('docs: the files and folders that CONTRIBUTING names exist', async (t) => {
  const text = readText('docs/CONTRIBUTING.md');
  const named = [...text.matchAll(/\b(?:test|bench|src|tla|docs)\/[\w./]*\w\b/g)].map(
    ([path]) => path,
  );

  t.ok(named.length > 10);
  t.same(
    named.filter((path) => !existsSync(at(path))),
    [],
  );
});

t.test('docs: each form for issues asks something, under a name', async (t) => {
  const forms = files.filter((path) => /^\.github\/ISSUE_TEMPLATE\/(?!config)/.test(path));
  for (const path of forms) {
    const { name, description, body } = parse(readText(path));
    t.ok(name && description, path);
    t.ok(
      body.every(({ type, id }: { type: string; id?: string }) => type === 'markdown' || id),
      path,
    );
  }
  t.ok(forms.length > 1);
});
