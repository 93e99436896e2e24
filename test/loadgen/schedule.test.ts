/** Ramp, agenda and random numbers: the exactness that open-loop load rests on. */
import fc from 'fast-check';
import t from 'tap';
import { Agenda, type Due } from '../../loadgen/fleet/agenda.ts';
import { Ramp } from '../../loadgen/plan/ramp.ts';
import { Random } from '../../loadgen/plan/random.ts';

const pieces = fc.array(
  fc.record({
    durationMs: fc.integer({ min: 1, max: 60_000 }),
    from: fc.integer({ min: 0, max: 5_000 }),
    to: fc.integer({ min: 0, max: 5_000 }),
  }),
  { minLength: 1, maxLength: 5 },
);

t.test('ramp: the moment of message k is where the area under the rate is k', async (t) => {
  fc.assert(
    fc.property(pieces, fc.double({ min: 0, max: 0.999, noNaN: true }), (list, at) => {
      const ramp = new Ramp(list);
      const area = at * ramp.total;
      if (ramp.total === 0) return ramp.inverse(0) === Number.POSITIVE_INFINITY;
      return Math.abs(ramp.area(ramp.inverse(area)) - area) < 1e-6 * Math.max(1, ramp.total);
    }),
  );
  t.pass();
});

t.test('ramp: moments rise, and end with the last piece', async (t) => {
  const ramp = new Ramp([
    { durationMs: 1_000, from: 0, to: 100 },
    { durationMs: 500, from: 0, to: 0 },
    { durationMs: 2_000, from: 100, to: 50 },
  ]);

  const moments = Array.from({ length: 200 }, (_, k) => ramp.inverse(k));

  t.equal(ramp.total, 200);
  t.ok(moments.every((moment, k) => k === 0 || moment > (moments[k - 1] ?? 0)));
  t.ok((moments[199] ?? 0) < 3_500);
  t.equal(ramp.inverse(200), Number.POSITIVE_INFINITY);
  t.equal(ramp.inverse(0), 0, 'asking for an earlier one again works');
});

t.test('ramp: the shares of several workers together are exactly the whole rate', async (t) => {
  const list = [
    { durationMs: 700, from: 10, to: 333 },
    { durationMs: 900, from: 333, to: 7 },
  ];
  const whole = new Ramp(list);
  const all = Array.from({ length: Math.floor(whole.total) }, (_, k) => whole.inverse(k));
  const shares = [0, 1, 2].flatMap((worker) => {
    const own = new Ramp(list);
    const moments: number[] = [];
    for (let k = worker; own.inverse(k) < Number.POSITIVE_INFINITY; k += 3) {
      moments.push(own.inverse(k));
    }
    return moments;
  });

  const joined = shares.sort((a, b) => a - b).slice(0, all.length);

  t.ok(joined.every((moment, k) => Math.abs(moment - (all[k] ?? 0)) < 1e-6));
});

t.test('agenda: entries come back soonest first, against a sorted list', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.nat(1_000), { maxLength: 3_000 }), (times) => {
      const agenda = new Agenda();
      for (const [at, time] of times.entries()) agenda.add(time, 1, at, at * 2);
      const due: Due = { kind: 0, device: 0, stamp: 0 };
      for (const time of [...times].sort((a, b) => a - b)) {
        if (agenda.nextMs !== time) return false;
        agenda.take(due);
        if (times[due.device] !== time || due.stamp !== due.device * 2) return false;
      }
      return agenda.size === 0 && agenda.nextMs === Number.POSITIVE_INFINITY;
    }),
    { numRuns: 50 },
  );
  t.pass();
});

t.test('random: a seed repeats, another one differs, and values fill [0, 1)', async (t) => {
  const take = (seed: number, stream: number) => {
    const random = new Random(seed, stream);
    return Array.from({ length: 10_000 }, () => random.next());
  };
  const one = take(1, 0);

  t.same(take(1, 0).slice(0, 9), one.slice(0, 9));
  t.notSame(take(2, 0).slice(0, 9), one.slice(0, 9));
  t.notSame(take(1, 1).slice(0, 9), one.slice(0, 9));
  t.ok(one.every((x) => x >= 0 && x < 1));
  const mean = one.reduce((sum, x) => sum + x, 0) / one.length;
  t.ok(Math.abs(mean - 0.5) < 0.02, `mean ${mean}`);
});
