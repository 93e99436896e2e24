/**
 * The closed lists of errors.ts and metrics.ts: each word is explained to firmware engineers, and
 * named by at least one test. That the test makes it come about, this text search cannot tell.
 * From: docs/protocol.md and the text of all tests.  To: one assertion for each word.
 * Bound: words that no code path can produce yet are listed here, with the reason; as soon as the
 * source names one, it must leave that list and get its test.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  BYE_REASONS,
  CLOSE_REASONS,
  DEVICE_ENDS,
  ERROR_CODES,
  EXPIRIES,
  ONLINE_REASONS,
  OUTCOMES,
  PRESENCE_REASONS,
  REFUSALS,
  STATUS,
  UNSEEN_ENDS,
} from '../src/base/errors.ts';
import { ASK_FATES, QUERY_FATES, REPLY_FATES } from '../src/base/metrics.ts';
import { STORE_FAULTS } from '../src/registrar/store/store.ts';

const NOT_YET: Readonly<Record<string, string>> = {
  'not-supported': 'all of version 1 is; it is there for later ones',
};

const root = new URL('..', import.meta.url).pathname;

/** The text of all `.ts` files under a folder that `isWanted`. */
function textOf(folder: string, isWanted: (name: string) => boolean): string {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && isWanted(name))
    .map((name) => readFileSync(join(root, folder, name), 'utf8'))
    .join('\n');
}

const tests = textOf('test', (name) => name.endsWith('.test.ts') && name !== 'lists.test.ts');
const source = textOf('src', (name) => name !== 'base/errors.ts');

function isNamedIn(text: string, word: string): boolean {
  // As a string, or as the key of a counter.
  return text.includes(`'${word}'`) || new RegExp(`\\b(?:closes|errors)\\.${word}\\b`).test(text);
}

const WORDS = [...new Set([...ERROR_CODES, ...CLOSE_REASONS])];

for (const word of WORDS) {
  const why = NOT_YET[word];
  if (why === undefined) {
    t.test(`lists: '${word}' is named in a test`, async (t) => {
      t.ok(isNamedIn(tests, word));
    });
  } else {
    t.test(`lists: '${word}' is not produced yet: ${why}`, async (t) => {
      t.notOk(isNamedIn(source, word), 'no source names it');
    });
  }
}

t.test('lists: what is not produced yet is on the lists', async (t) => {
  for (const word of Object.keys(NOT_YET)) t.ok((WORDS as string[]).includes(word), word);
});

t.test('lists: no word stands for two things', async (t) => {
  const all = [...ERROR_CODES, ...BYE_REASONS, ...DEVICE_ENDS];
  t.equal(new Set(all).size, all.length);
});

t.test('lists: every fate of a reply is named in a test', async (t) => {
  for (const fate of REPLY_FATES) t.ok(new RegExp(`\\b${fate}['":]`).test(tests), fate);
});

t.test(
  'lists: every reason of presence, fate of a query and fault of a store is named',
  async (t) => {
    const fates = [...QUERY_FATES, ...ASK_FATES];
    for (const word of [...ONLINE_REASONS, ...UNSEEN_ENDS, ...fates, ...STORE_FAULTS]) {
      t.ok(new RegExp(`['"]${word}['"]`).test(tests), word);
    }
  },
);

t.test('lists: every outcome of a command, and every reason of one, is named', async (t) => {
  for (const word of [...OUTCOMES, ...REFUSALS, ...EXPIRIES]) {
    t.ok(new RegExp(`['"]${word}['"]`).test(tests), word);
  }
});

t.test(
  'lists: docs/commands.md explains every outcome of a command, and every reason',
  async (t) => {
    const text = readFileSync(join(root, 'docs/commands.md'), 'utf8');
    for (const word of [...OUTCOMES, ...REFUSALS, ...EXPIRIES])
      t.ok(text.includes(`\`${word}\``), word);
  },
);

t.test('lists: docs/presence.md explains every reason, fate of a query and fault', async (t) => {
  const text = readFileSync(join(root, 'docs/presence.md'), 'utf8');
  for (const word of [...PRESENCE_REASONS, ...STORE_FAULTS])
    t.ok(text.includes(`\`${word}\``), word);
});

const page = join(root, 'docs/protocol.md');

t.test('lists: docs/protocol.md explains every ERROR code, BYE reason and status', async (t) => {
  const text = readFileSync(page, 'utf8');
  for (const word of [...ERROR_CODES, ...BYE_REASONS]) {
    t.ok(text.includes(`\`${word}\``), word);
  }
  for (const [name, status] of Object.entries(STATUS)) {
    t.match(text, new RegExp(`^\\|\\s*\`?${status}\`?\\s*\\|`, 'm'), `status ${status}, ${name}`);
  }
});
