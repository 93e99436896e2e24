/** The commands' judge: each kind of broken promise is found, and a good run has none. */
import t from 'tap';
import { CommandBooks, type CommandFinding } from './commandBooks.ts';
import type { Entry } from './ledger.ts';

const of = { number: 7, at: 1_000 } as const;

const transient: Entry = { what: 'command', ...of, device: 3, isKept: false, due: 6_000 };
const kept: Entry = { ...transient, isKept: true };
const confirmed: Entry = { what: 'confirmed', ...of };
const act: Entry = { what: 'act', ...of, device: 3 };
const known: Entry = { what: 'known', ...of, device: 3 };
const delivered: Entry = { what: 'told', ...of, type: 'delivered', status: -1, reason: '', of: '' };
const result: Entry = { ...delivered, type: 'result', status: 0, of: '7' };
const expired = (reason: string): Entry => ({ ...delivered, type: 'expired', reason });
const offline: Entry = { ...delivered, type: 'offline' };
const good: readonly Entry[] = [kept, confirmed, act, delivered, result];
const later = good.map((entry) => ({ ...entry, number: 8, of: '8' }) as Entry);

function booksOf(entries: readonly Entry[], outages = [{ from: 7_000, to: 8_000 }]): CommandBooks {
  const books = new CommandBooks(entries);
  books.close({ outages, graceMs: 500 });
  return books;
}

/** What is found in these entries, with how often. */
function found(...given: Parameters<typeof booksOf>): Record<string, number> {
  const { findings } = booksOf(...given);
  return Object.fromEntries([...findings].map(([finding, { count }]) => [finding, count]));
}

t.test('commandBooks: a run that kept every promise has no finding', async (t) => {
  t.same(found([...good, ...later]), {});
  t.same(
    found([...later.toReversed(), ...good.toReversed()].toReversed()),
    {},
    'in any file order',
  );
  t.same(found([kept, confirmed, act, known, known, result, result]), {}, 'told and sent again');
  t.same(found([transient, confirmed, offline]), {});
  t.same(found([transient, confirmed, act, expired('link-lost')]), {});
});

const BROKEN: Readonly<Record<string, readonly [CommandFinding, readonly Entry[]]>> = {
  'a command acted upon twice': ['actedTwice', [...good, act]],
  'a transient one that came twice': ['cameTwice', [transient, act, known, result]],
  'an act of another device': ['elsewhere', [transient, { what: 'act', ...of, device: 4 }, result]],
  'a kept one that was overtaken': ['overtaken', [...later, ...good]],
  'two different ends': ['contradicted', [...good, expired('no-result')]],
  'the same end for two different reasons': [
    'contradicted',
    [kept, expired('no-answer'), expired('not-sent')],
  ],
  'an act on what was told offline': ['denied', [transient, act, offline]],
  'an act on what was told not-sent': ['denied', [kept, act, expired('not-sent')]],
  'a result of nobody': ['unacted', [kept, result]],
  'a result that names another command': ['altered', [kept, act, { ...result, of: '8' } as Entry]],
  'a kept one without an end': ['unsettled', [kept, confirmed, act, delivered]],
  'a transient one without an end': ['untold', [transient, confirmed, act]],
  'an outcome of what nobody published': ['unsaid', [offline]],
};

for (const [what, [finding, entries]] of Object.entries(BROKEN)) {
  t.test(`commandBooks: ${what} is found`, async (t) => {
    t.same(found(entries), { [finding]: 1 });
  });
}

t.test('commandBooks: what is not promised is counted, and no finding', async (t) => {
  const outage = [{ from: 500, to: 1_500 }];
  const nacked: Entry = { what: 'nacked', ...of };

  t.match(booksOf([transient, confirmed], outage), { counts: { lost: 1 }, findings: new Map() });
  const justAfter = [{ from: 6_400, to: 7_000 }];
  t.match(booksOf([transient, confirmed], justAfter), { counts: { lost: 1 } }, 'about to be told');
  t.match(booksOf([kept]), { counts: { unsure: 1 }, findings: new Map() });
  t.match(booksOf([kept, nacked]), { counts: { nacked: 1 }, findings: new Map() });
  t.match(booksOf([kept, act, expired('no-result')]), { counts: { unheard: 1 } });
});

t.test('commandBooks: one that was published again has no place in the order', async (t) => {
  const again: Entry = { what: 'again', ...of };

  t.same(found([...later, ...good, again]), {});
});
