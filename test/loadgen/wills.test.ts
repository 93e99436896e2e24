/** Wills of loadgen's devices: which of them are owed, and what of those that came is wrong. */
import t from 'tap';
import { Wills } from '../../loadgen/fleet/wills.ts';
import { WILL, WillWatch } from '../../loadgen/measure/willWatch.ts';
import { KIND, Payloads, readMark } from '../../loadgen/plan/payload.ts';
import { makePlan } from '../../loadgen/plan/settings.ts';

const planOf = (will: string) => makePlan({ target: 'localhost:1', will }, [], 7);
const payloads = new Payloads(7, 1, 16);

t.test('wills: a share of the devices leaves them, and says of which link', async (t) => {
  const half = new Wills(planOf('50%'), payloads);
  const count = Array.from({ length: 1_000 }, (_, index) => half.has(index)).filter(Boolean).length;
  t.ok(count > 400 && count < 600, `${count} of 1,000`);
  t.notOk(new Wills(planOf('0'), payloads).payloadOf({ index: 1, link: 1 }));
  const payload = new Wills(planOf('100%'), payloads).payloadOf({ index: 4, link: 9 });
  t.match(payload && readMark(payload), { device: 4, number: 9, kind: KIND.will });
});

t.test(
  'wills: a link is judged if it was cut, was known, and its device stayed away',
  async (t) => {
    const wills = new Wills(planOf('100%'), payloads);
    const life = (index: number, openMs: number, how: 'cut' | 'goodbye' | 'other') => {
      wills.onConnect({ index, link: 1 }, 0);
      wills.onOpen({ index, link: 1 }, 10_000 - openMs);
      wills.onEnd({ index, link: 1 }, how, 10_000);
    };
    life(0, 5_000, 'cut');
    life(1, 100, 'cut');
    life(2, 5_000, 'goodbye');
    life(3, 5_000, 'other');
    life(4, 5_000, 'cut');
    life(5, 5_000, 'cut');
    wills.onConnect({ index: 4, link: 2 }, 10_500);
    wills.onConnect({ index: 5, link: 2 }, 13_000);

    t.same(
      Object.fromEntries(
        Array.from({ length: wills.finish(20_000).length / 3 }, (_, at) => [
          wills.ends[3 * at],
          wills.ends[3 * at + 2],
        ]),
      ),
      { 0: WILL.published, 1: WILL.either, 3: WILL.either, 4: WILL.either, 5: WILL.published },
    );
  },
);

t.test('wills: one that never came, and one that should not have', async (t) => {
  const watch = new WillWatch();
  for (const [device, link] of [
    [1, 1],
    [1, 1],
    [2, 3],
    [3, 1],
  ] as const) {
    watch.see(device, link);
  }
  const ends = [1, 1, WILL.published, 2, 3, WILL.either, 4, 2, WILL.published];

  t.match(await watch.judge(ends, 1), {
    ...{ published: 3, owed: 2, unwilled: 1, unwarranted: 1 },
    examples: [
      { violation: 'unwilled', device: 4, text: /^the will of link 2 never came/ },
      { violation: 'unwarranted', device: 3, text: /^the will of link 1 came/ },
    ],
  });
});
