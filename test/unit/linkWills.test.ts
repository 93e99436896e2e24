/** What links leave to be published: how much of it is kept, and what is counted. */
import t from 'tap';
import type { Will } from '../../src/wire/message.ts';
import { makeLinkWills } from '../helpers/fakes/linkWills.ts';

const will: Will = { topic: 'gone', payload: Buffer.alloc(600), delayMs: 0 };

t.test('a will that does not fit is counted once, and Clean Start is remembered', (t) => {
  const { wills, counters } = makeLinkWills({ willsBytesMax: 1_024 });
  wills.keep('1', { will, isCleanStart: true });

  wills.keep('2', { will, isCleanStart: true });
  wills.keep('3', { isCleanStart: true });
  wills.keep('4', {});

  t.same(counters.wills, { kept: 1, 'not-allowed': 0, full: 1 });
  t.match(wills.of('1'), { will: { topic: 'gone' }, isCleanStart: true });
  t.same(wills.of('2'), { isCleanStart: true });
  t.same(wills.of('3'), { isCleanStart: true });
  t.equal(wills.of('4'), undefined);
  wills.forget('1');
  t.equal(wills.bytes, 0);
  t.end();
});
