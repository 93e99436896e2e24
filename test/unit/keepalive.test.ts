/** Keepalive arithmetic: which one rules, when a device is gone, when Owsla shows its life. */
import t from 'tap';
import { keepaliveVerdict, ruleKeepalive } from '../../src/acceptor/endpoint/keepalive.ts';
import { makeLimits } from '../../src/base/limits.ts';

t.test('keepalive: the wish rules within the limits', async (t) => {
  const limits = makeLimits();
  const ruled = [undefined, 0, 1, 10, 45, 3_600, 4_000].map((wish) => ruleKeepalive(wish, limits));

  t.same(ruled, [60_000, 60_000, 10_000, 10_000, 45_000, 3_600_000, 3_600_000]);
});

t.test('keepalive: what rules is whole seconds, as WELCOME can tell no others', async (t) => {
  const limits = makeLimits({ keepaliveMs: 1_500, keepaliveMinMs: 1_001, keepaliveMaxMs: 2_999 });

  const ruled = [undefined, 1, 2, 3].map((wish) => ruleKeepalive(wish, limits));

  t.same(ruled, [2_000, 2_000, 2_000, 3_000]);
});

const reading = { keepaliveMs: 20_000, heardAt: 1_000, pausedAt: 0, pingedAt: 0 };

t.test('keepalive: silence of 1.5 keepalives is allowed, more is the end', async (t) => {
  t.equal(keepaliveVerdict(reading, 1_000), 'alive');
  t.equal(keepaliveVerdict(reading, 20_999), 'alive');
  t.equal(keepaliveVerdict(reading, 31_000), 'quiet');
  t.equal(keepaliveVerdict(reading, 31_001), 'dead');
});

t.test('keepalive: a device that has to be asked is asked once, after one keepalive', async (t) => {
  t.equal(keepaliveVerdict(reading, 21_000), 'quiet');
  t.equal(keepaliveVerdict({ ...reading, pingedAt: 21_000 }, 23_000), 'alive');
  t.equal(keepaliveVerdict({ ...reading, heardAt: 22_000, pingedAt: 21_000 }, 42_000), 'quiet');
});

t.test('keepalive: while paused no silence ends a link', async (t) => {
  const paused = { ...reading, pausedAt: 30_000 };

  t.equal(keepaliveVerdict(paused, 39_999), 'alive');
  t.equal(keepaliveVerdict(paused, 40_000), 'ping');
  t.equal(keepaliveVerdict(paused, 9_000_000), 'ping');
});

t.test('keepalive: the next PING comes half a keepalive after the last', async (t) => {
  const pinged = { ...reading, pausedAt: 30_000, pingedAt: 40_000 };

  t.equal(keepaliveVerdict(pinged, 49_999), 'alive');
  t.equal(keepaliveVerdict(pinged, 50_000), 'ping');
});

t.test('keepalive: a PING of an earlier pause does not count for this one', async (t) => {
  const again = { ...reading, pausedAt: 80_000, pingedAt: 40_000 };

  t.equal(keepaliveVerdict(again, 89_999), 'alive');
  t.equal(keepaliveVerdict(again, 90_000), 'ping');
});
