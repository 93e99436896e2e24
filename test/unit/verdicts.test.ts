/** What a backend has said: for how long it counts, how much of it is kept, who pushes out whom. */
import t from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import { type BackendVerdict, Verdicts, verdictKey } from '../../src/node/verdicts.ts';
import { FakeClock } from '../helpers/fakes/clock.ts';

const YES: BackendVerdict = { isAllowed: true, expiresAt: 0 };
const NO: BackendVerdict = { isAllowed: false, expiresAt: 0 };

function build(overrides: Parameters<typeof makeLimits>[0] = {}) {
  const clock = new FakeClock();
  const limits = makeLimits({ authCacheMs: 1_000, authStaleMs: 10_000, ...overrides });
  const options = { limits, now: () => clock.now(), wall: () => clock.wall() };
  return { clock, verdicts: new Verdicts(options), other: new Verdicts(options) };
}

t.test('verdicts: fresh, then only when nobody answers, then not at all', async (t) => {
  const { clock, verdicts } = build();
  verdicts.put('a', YES);
  verdicts.put('b', NO);
  t.same([verdicts.fresh('a'), verdicts.fresh('b')], [YES, NO]);
  clock.advance(1_000);
  t.same([verdicts.fresh('a'), verdicts.stale('a'), verdicts.stale('b')], [undefined, YES, NO]);
  clock.advance(9_000);
  t.equal(verdicts.stale('a'), undefined);
  verdicts.put('c', YES);
  t.equal(verdicts.size, 1, 'what is too old is forgotten');
});

t.test('verdicts: one that has ended counts no more, not even when nobody answers', async (t) => {
  const { clock, verdicts } = build();
  verdicts.put('a', { isAllowed: true, expiresAt: clock.wall() + 500 });
  t.ok(verdicts.fresh('a'));
  clock.advance(500);
  t.equal(verdicts.fresh('a'), undefined);
  t.equal(verdicts.stale('a'), undefined);
});

t.test('verdicts: the oldest go first, and refusals push out only refusals', async (t) => {
  const { verdicts } = build({ authCacheMax: 20 });
  for (let count = 0; count < 30; count += 1) verdicts.put(`yes-${count}`, YES);
  t.equal(verdicts.size, 18);
  t.equal(verdicts.fresh('yes-11'), undefined);
  t.ok(verdicts.fresh('yes-12'));
  for (let count = 0; count < 1_000; count += 1) verdicts.put(`no-${count}`, NO);
  t.equal(verdicts.size, 20);
  t.ok(verdicts.fresh('yes-12'), 'who tries tokens costs nobody his place');
  t.same([verdicts.fresh('no-997'), verdicts.fresh('no-998')], [undefined, NO]);
});

t.test('verdicts: the last word counts, whichever it is', async (t) => {
  const { clock, verdicts } = build();
  verdicts.put('a', YES);
  clock.advance(1);
  verdicts.put('a', NO);
  t.same(verdicts.fresh('a'), NO);
  verdicts.put('a', YES, 5_000);
  t.same(verdicts.fresh('a'), NO, 'an older one comes too late');
  t.equal(verdicts.size, 1);
});

t.test('verdicts: another process keeps them as old as they are', async (t) => {
  const { clock, verdicts, other } = build();
  const bound: BackendVerdict = {
    isAllowed: true,
    expiresAt: clock.wall() + 60_000,
    topics: ['#'],
  };
  verdicts.put('a', bound);
  verdicts.put('b', NO);
  clock.advance(600);
  const told = [...verdicts.told()];
  t.match(told, [['verdict', [['b'], ['a']]]]);
  for (const message of told) other.hear(JSON.parse(JSON.stringify(message)));
  t.same([other.fresh('a'), other.fresh('b')], [bound, NO]);
  clock.advance(400);
  t.equal(other.fresh('a'), undefined);
  t.same(other.stale('a'), bound);
  t.same(verdicts.tell('c'), ['verdict', []]);
  t.match(verdicts.tell('a'), ['verdict', [['a', 1_000, true]]]);
});

t.test('verdicts: the key is of device, token and listener, and of no peer', async (t) => {
  const secret = Buffer.alloc(32, 1);
  const one = { device: 'door-1', token: 'a', listener: 'devices' };
  const keys = [
    verdictKey(secret, one),
    verdictKey(Buffer.alloc(32, 2), one),
    verdictKey(secret, { ...one, token: '' }),
    verdictKey(secret, { ...one, token: 'a\0devices' }),
    verdictKey(secret, { ...one, listener: 'other' }),
    verdictKey(secret, { ...one, device: 'door-2' }),
  ];
  t.equal(new Set(keys).size, keys.length);
  t.equal(verdictKey(secret, one), keys[0]);
  t.ok(keys.every((key) => !key.includes('door')));
});
