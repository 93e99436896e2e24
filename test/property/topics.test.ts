/** Topics against a slow reader that tries every way a pattern can be read. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { topicFilter } from '../../src/acceptor/identity/topics.ts';
import { isTopicPattern } from '../../src/base/names.ts';

function slow(pattern: readonly string[], words: readonly string[]): boolean {
  const [part, ...parts] = pattern;
  const [word, ...rest] = words;
  if (part === undefined) return word === undefined;
  if (part === '#') return slow(parts, words) || (word !== undefined && slow(pattern, rest));
  return word !== undefined && (part === '*' || part === word) && slow(parts, rest);
}

const word = fc.constantFrom('a', 'b', 'aa', 'A');
const topic = fc.array(word, { minLength: 1, maxLength: 7 });
const pattern = fc.array(fc.oneof(word, fc.constantFrom('*', '#', '#')), {
  minLength: 1,
  maxLength: 7,
});

t.test('topics: a pattern allows what a slow reader finds in it', async () => {
  fc.assert(
    fc.property(fc.array(pattern, { minLength: 1, maxLength: 3 }), topic, (patterns, words) => {
      const filter = topicFilter(patterns.map((parts) => parts.join('.')));
      const expected = patterns.some((parts) => slow(parts, words));
      assert.equal(filter?.allows(words.join('.')), expected);
    }),
    { numRuns: 20_000 },
  );
});

t.test('topics: what may be a pattern is one for RabbitMQ', async (t) => {
  fc.assert(
    fc.property(pattern, (parts) => assert.ok(isTopicPattern(parts.join('.')))),
    { numRuns: 500 },
  );
  for (const text of [
    '',
    '.',
    'a.',
    '.a',
    'a..b',
    'a*',
    '#a',
    'a b',
    'a/b',
    'é',
    'x'.repeat(256),
  ]) {
    t.notOk(isTopicPattern(text), JSON.stringify(text));
  }
});

t.test('topics: no patterns are no bound, and many # cost little', async (t) => {
  t.equal(topicFilter([]), undefined);
  const filter = topicFilter([`${'#.'.repeat(60)}b`]);
  const startedAt = performance.now();
  t.equal(filter?.allows(`${'a.'.repeat(62)}a`), false);
  t.ok(performance.now() - startedAt < 100, 'a slow reader would need years');
});
