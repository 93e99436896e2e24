/** What a backend answers about a device: what is one, and that nothing else is a yes. */
import t from 'tap';
import { readAnswer } from '../../src/registrar/auth/answer.ts';

const read = (value: unknown) => readAnswer(Buffer.from(JSON.stringify(value)));

t.test('answer: what is one', async (t) => {
  t.same(read({ allow: true }), { isAllowed: true, expiresAt: 0 });
  t.same(read({ allow: false, expires: 5, more: 1 }), { isAllowed: false, expiresAt: 5_000 });
  t.same(read({ allow: true, expires: null, topics: null, tags: null }), {
    ...{ isAllowed: true, expiresAt: 0 },
  });
  t.same(read({ allow: true, topics: [], tags: ['a b'] }), {
    ...{ isAllowed: true, expiresAt: 0, topics: [] },
  });
  t.match(read({ allow: true, topics: ['door.#', '*.x', '#'] }), { topics: { length: 3 } });
});

t.test('answer: what is none', async (t) => {
  const many = (what: string) => Array.from({ length: 65 }, () => what);
  for (const value of [
    ...[null, true, 'yes', 1, [], [{ allow: true }], {}],
    ...[1, 0, 'true', null, [true], {}].map((allow) => ({ allow })),
    ...[0, -1, 1.5, '5', true, 1e11, Date.now(), [5], {}].map((expires) => ({
      ...{ allow: true, expires },
    })),
    ...['#', ['a..b'], [''], [1], ['door#'], ['$x'], {}, many('#')].map((topics) => ({
      ...{ allow: true, topics },
    })),
    ...['a', [1], ['x'.repeat(256)], many('a')].map((tags) => ({ allow: true, tags })),
  ]) {
    t.type(read(value), 'string', JSON.stringify(value));
  }
  for (const text of ['', 'allow', '{"allow":true', '{"allow":true}}', '\0', '\xff\xfe']) {
    t.type(readAnswer(Buffer.from(text, 'latin1')), 'string', text);
  }
  t.match(readAnswer(Buffer.from(`{"allow":true${' '.repeat(16_384)}}`)), /longer/);
});
