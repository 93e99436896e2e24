/** The ledger's judge: each kind of broken promise is found, and a good run has none. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Books, dueAt, type Finding, type Rules } from './books.ts';
import { type Entry, LedgerFile, readLedgers } from './ledger.ts';

const CONNECTION = '01234567-1234-4abc-9def-0123456789ab';
const RULES: Rules = { requestMs: 10_000, graceMs: 2_000, outages: [], endedAt: 100_000 };
const of = { device: 3, link: 1 } as const;

const tongue = 'owsla';
const opened: Entry = { what: 'open', ...of, at: 1_000, connection: CONNECTION, tongue };
const event = (id: number, at = 2_000): Entry => ({ what: 'event', ...of, id, at });
const request = (id: number, at = 2_000): Entry => ({ what: 'request', ...of, id, at });
const ack = (id: number, at = 2_010): Entry => ({ what: 'ack', ...of, id, at });
const reply = (id: number, at = 2_010, payload = `3.1.${id}`, status = 0): Entry => {
  return { what: 'reply', ...of, id, at, status, of: payload };
};
const end = (at: number): Entry => ({ what: 'end', ...of, at, reason: 'fin' });
const got = (id: number, more: Partial<Extract<Entry, { what: 'got' }>> = {}): Entry => {
  return { what: 'got', kind: 'event', ...of, id, at: 2_005, ...more };
};
const gotRequest = (id: number, publishedAt = 2_001): Entry => {
  return got(id, { kind: 'request', publishedAt, receivedAt: 2_000, deadline: 12_000 });
};

/** What is found in these entries behind an open link, with how often. */
function found(entries: readonly Entry[], rules: Partial<Rules> = {}): Record<string, number> {
  const books = new Books([opened, ...entries]);
  books.close({ ...RULES, ...rules });
  return Object.fromEntries([...books.findings].map(([finding, { count }]) => [finding, count]));
}

t.test('books: a run that kept every promise has no finding', async (t) => {
  const entries = [event(1), got(1), ack(1), request(2), gotRequest(2), reply(2), end(90_000)];

  t.same(found(entries), {});
});

const BROKEN: Readonly<Record<string, readonly [Finding, readonly Entry[]]>> = {
  'an EVENT that was ACKed and never arrived': ['lost', [event(1), ack(1)]],
  'an EVENT that a link waited for in vain': ['unacked', [event(1), got(1)]],
  'a REQUEST that a surviving link waited for in vain': ['unanswered', [request(1)]],
  'a REQUEST answered only after it was due': ['unanswered', [request(1), reply(1, 14_001)]],
  'a REQUEST answered twice': ['answeredTwice', [request(1), reply(1), reply(1)]],
  'an EVENT ACKed twice': ['answeredTwice', [event(1), got(1), ack(1), ack(1)]],
  'a REPLY with the payload of another device': [
    'wrongLink',
    [request(1), reply(1, 2_010, '4.1.1')],
  ],
  'a REPLY with the payload of an older link': [
    'wrongLink',
    [request(1), reply(1, 2_010, '3.0.1')],
  ],
  'a REPLY for nothing that was asked': ['wrongLink', [reply(1)]],
  'an ACK for a REQUEST': ['wrongLink', [request(1), ack(1)]],
  'a REQUEST published after its answer': [
    'publishedLate',
    [request(1), reply(1, 2_010, '', 1), gotRequest(1, 2_011)],
  ],
  'a REQUEST published after its deadline': [
    'publishedLate',
    [request(1), reply(1, 13_000, '', 1), gotRequest(1, 12_021)],
  ],
  'a re-sent EVENT that changed its message_id': [
    'renamed',
    [event(1), ack(1), got(1, { resent: `${CONNECTION}:2` })],
  ],
  'an EVENT that overtook another': [
    'disordered',
    [event(1), event(2), ack(1), ack(2), got(2), got(1)],
  ],
  'a message at the backend that no device sent': ['unsent', [got(7)]],
};

for (const [what, [finding, entries]] of Object.entries(BROKEN)) {
  t.test(`books: ${what} is found`, async (t) => {
    t.same(found(entries), { [finding]: 1 });
  });
}

t.test('books: what ended with its link is no broken promise', async (t) => {
  const entries = [event(1), request(2), end(5_000)];
  const books = new Books([opened, ...entries]);
  books.close(RULES);

  t.same([...books.findings], []);
  t.equal(books.counts.cut, 2);
});

t.test('books: copies that the broker or Owsla repeated are none either', async (t) => {
  const resent = { resent: `${CONNECTION}:1` };
  const entries = [
    ...[event(1), event(2), got(1), got(2), ack(1), ack(2)],
    ...[got(1, resent), got(1, { redelivered: true })],
  ];

  t.same(found(entries), {});
});

t.test('books: a status of Owsla is an answer; its payload names nothing', async (t) => {
  t.same(found([request(1), reply(1, 12_000, '', 1)]), {});
});

t.test(
  'books: a deadline begins when Owsla reads the REQUEST, if a backend saw when',
  async (t) => {
    const read = { publishedAt: 5_001, receivedAt: 5_000, deadline: 15_000 };
    const entries = (answeredAt: number) => [
      request(1),
      got(1, { kind: 'request', ...read }),
      reply(1, answeredAt, '', 1),
    ];

    t.same(found(entries(17_000)), {});
    t.same(found(entries(17_001)), { unanswered: 1 });
  },
);

t.test('books: a REQUEST sent in an outage is due after its end', async (t) => {
  const outages = [{ from: 1_500, to: 30_000 }];

  t.same(found([request(1), reply(1, 41_000, '', 1)], { outages }), {});
  t.same(found([request(1), reply(1, 43_000, '', 1)], { outages }), { unanswered: 1 });
  t.equal(dueAt(31_000, { ...RULES, outages }), 43_000, 'and one sent later is not');
});

t.test('books: what was skipped counts as due, and never well', async (t) => {
  const books = new Books([opened, event(1), ack(1), { what: 'skipped', device: 3, at: 1_999 }]);

  t.same(books.planned(), [
    { at: 1_999, okAt: Number.POSITIVE_INFINITY },
    { at: 2_000, okAt: 2_010 },
  ]);
});

t.test(
  'ledger: entries survive the file; half a line of a killed process is left out',
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'owsla-ledger-'));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const file = new LedgerFile(join(folder, 'fleet.ledger'));
    const entries = [opened, event(1), reply(2)];
    for (const entry of entries) file.note(entry);
    file.close();
    writeFileSync(join(folder, 'killed.ledger'), `${JSON.stringify(got(1))}\n{"what":"go`);

    t.same([...readLedgers(folder)], [...entries, got(1)]);
  },
);
