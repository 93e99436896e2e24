/** Devices that an operator hears of by name: those that flap, and those that share an id. */
import t from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import { DeviceConcerns } from '../../src/registrar/presence/deviceConcerns.ts';
import { Flaps } from '../../src/registrar/presence/flaps.ts';
import { TakeoverThrottle } from '../../src/registrar/presence/takeoverThrottle.ts';
import type { Up } from '../../src/registrar/store/presenceRules.ts';

const LIMITS = makeLimits({
  ...{ deviceFlapsMax: 10, deviceFlapWindowMs: 100_000 },
  ...{ takeoversMax: 3, takeoverWindowMs: 60_000, takeoverDampMs: 0 },
});

t.test('flaps: a device is named from half of the level on, and until it is below', async (t) => {
  const flaps = new Flaps(LIMITS);
  for (let at = 0; at < 4; at += 1) flaps.began('door', at);
  t.same(flaps.list(4), [], 'some links are usual');
  for (let at = 4; at < 12; at += 1) flaps.began('door', at);
  const [door] = flaps.list(12);
  t.match(door, { about: 'flapping', name: 'door' });
  t.ok(Number(door?.figure) > 1.1, 'it flaps');
  t.ok(Number(flaps.list(40_000)[0]?.figure) < 1, 'less with time');
  t.same(flaps.list(80_000), [], 'until it is forgotten');
});

t.test('flaps: a fleet that comes back once, or at its pace, does not', async (t) => {
  const flaps = new Flaps(LIMITS);
  for (let at = 0; at < 50_000; at += 1) flaps.began(`door-${at}`, at / 100);
  for (let at = 0; at < 100; at += 1) flaps.began('slow', 1_000 + at * 10_000);
  t.same(flaps.list(1_001_000), []);
});

t.test('flaps: a storm of others does not hide one, and the worst are first', async (t) => {
  const flaps = new Flaps(LIMITS);
  for (let at = 0; at < 60_000; at += 1) {
    flaps.began(`door-${at}`, at / 100);
    if (at % 4_000 === 0) flaps.began('restless', at / 100);
  }
  t.match(flaps.list(600), [{ name: 'restless' }]);
  for (let at = 0; at < 40; at += 1) {
    for (let times = 0; times < 6 + (at % 4); times += 1) flaps.began(`bad-${at}`, 600);
  }
  const list = flaps.list(600);
  t.equal(list.length, 16, 'a bounded number of names');
  t.equal(list[0]?.name, 'restless');
  t.ok(list.every(({ figure }, at) => at === 0 || figure <= Number(list[at - 1]?.figure)));
});

function up(device: string, connection: string): Up {
  return { kind: 'up', device, connection } as Up;
}

t.test('clones: named from takeoversMax on, until the quiet time has passed', async (t) => {
  const throttle = new TakeoverThrottle(LIMITS);
  throttle.admits(up('twin', 'a'), 0);
  throttle.admits(up('twin', 'b'), 1);
  t.same(throttle.cloned(1, 9), []);
  throttle.admits(up('twin', 'c'), 2);
  throttle.admits(up('other', 'd'), 2);
  t.same(throttle.cloned(2, 9), ['twin']);
  t.same(throttle.cloned(60_002, 9), ['twin']);
  t.same(throttle.cloned(60_003, 9), []);
});

t.test('concerns: what is cloned is not said to flap as well', async (t) => {
  let now = 0;
  const concerns = new DeviceConcerns(LIMITS, { now: () => now });
  const begun = { online: true };
  for (now = 0; now < 12; now += 1) {
    concerns.onCommit([
      { device: 'twin', ...begun },
      { device: 'door', ...begun },
      { device: 'door', online: false },
    ]);
  }
  const clones = { clones: () => [['twin', 7]] as [string, number][] };
  t.match(concerns.list(clones), [
    { about: 'cloned', name: 'twin', figure: 7 },
    { about: 'flapping', name: 'door' },
  ]);
});
