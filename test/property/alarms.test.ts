/**
 * Alarms: for any course of what is seen, those that are raised are what a simple model says; they
 * do not flutter, and a gap in the looks proves nothing.
 */
import fc from 'fast-check';
import t from 'tap';
import { ALARMS, type AlarmName } from '../../src/node/alarmNames.ts';
import { RULES } from '../../src/observer/alarmRules.ts';
import { type AlarmChange, Alarms } from '../../src/observer/alarms.ts';
import { calm } from '../helpers/alarmFacts.ts';

const TIMES = { alarmRaiseMs: 3_000, alarmClearMs: 10_000, reportMs: 1_000 };
const GAP_MS = 4 * TIMES.reportMs;

type Mark = 'high' | 'between' | 'low';

interface Look {
  readonly afterMs: number;
  readonly mark: Mark;
}

const lookOf = fc.record({
  // Most at the interval, some late, some behind a gap.
  afterMs: fc.oneof(
    { weight: 8, arbitrary: fc.constant(TIMES.reportMs) },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: GAP_MS }) },
    { weight: 1, arbitrary: fc.integer({ min: GAP_MS + 1, max: 60_000 }) },
  ),
  mark: fc.constantFrom<Mark>('high', 'between', 'low'),
});
/** The same mark for a while: else nothing is ever raised. */
const courseOf = fc
  .array(fc.tuple(lookOf, fc.integer({ min: 1, max: 30 })), { maxLength: 30 })
  .map((runs) => runs.flatMap(([look, times]) => Array<Look>(times).fill(look)));

/** Of an acceptor's links, which is one with two marks that a number tells. */
function factsOf(mark: Mark) {
  const links = { high: 95, between: 90, low: 84 }[mark];
  return calm({ acceptors: [{ links, linksMax: 100 }] });
}

/** Step by step what the looks before say: no state but since when the mark is what it is. */
function modelOf(looks: readonly (Look & { now: number })[]): boolean[] {
  let isUp = false;
  let since: number | undefined;
  let before = Number.NEGATIVE_INFINITY;
  return looks.map(({ mark, now }) => {
    const isTurning = isUp ? mark === 'low' : mark === 'high';
    if (!isTurning) since = undefined;
    else if (since === undefined || now - before > GAP_MS) since = now;
    before = now;
    const needs = isUp ? TIMES.alarmClearMs : TIMES.alarmRaiseMs;
    if (since !== undefined && now - since >= needs) {
      isUp = !isUp;
      since = undefined;
    }
    return isUp;
  });
}

t.test('alarms: raised is what has been high for long enough, and not low since', async (t) => {
  fc.assert(
    fc.property(courseOf, (course) => {
      let now = 0;
      const looks = course.map((look) => {
        now += look.afterMs;
        return { ...look, now };
      });
      const alarms = new Alarms(TIMES);
      const seen = looks.map(({ mark, now: at }) => {
        alarms.look(factsOf(mark), at, at);
        return alarms.raised().length === 1;
      });
      return JSON.stringify(seen) === JSON.stringify(modelOf(looks));
    }),
    { numRuns: 300 },
  );
  t.pass('in 300 courses');
});

t.test('alarms: changes come by turns, and never sooner than their times', async (t) => {
  fc.assert(
    fc.property(courseOf, (course) => {
      const alarms = new Alarms(TIMES);
      let now = 0;
      let last: (AlarmChange & { at: number }) | undefined;
      for (const { afterMs, mark } of course) {
        now += afterMs;
        for (const change of alarms.look(factsOf(mark), now, now)) {
          if (change.what === last?.what) return false;
          if (last === undefined && change.what === 'cleared') return false;
          const least = change.what === 'raised' ? TIMES.alarmRaiseMs : TIMES.alarmClearMs;
          if (last !== undefined && now - last.at < least) return false;
          last = { ...change, at: now };
        }
      }
      return true;
    }),
    { numRuns: 300 },
  );
  t.pass('in 300 courses');
});

t.test('alarms: one fault raises its own alarm and no other; calm raises none', async (t) => {
  const facts = new Map<AlarmName, ReturnType<typeof calm>>([
    ['broker-away', calm({ acceptors: [{ isBrokerAway: true }] })],
    ['broker-blocking', calm({ acceptors: [{ isBrokerBlocked: true }] })],
    ['prefix-taken', calm({ degraded: [{ part: 'presence', cause: 'prefix-taken' }] })],
    ['store-degraded', calm({ degraded: [{ part: 'presence', cause: 'store-degraded' }] })],
    ['auth-away', calm({ degraded: [{ part: 'auth', cause: 'auth-away' }] })],
    ['acceptor-full', calm({ acceptors: [{ links: 95, linksMax: 100 }] })],
    ['files-high', calm({ acceptors: [{ openFiles: 960, openFilesMax: 1_024 }] })],
    ['memory-high', calm({ acceptors: [{ heapRatio: 0.9 }] })],
    ['loop-lagging', calm({ acceptors: [{ lagSeconds: 0.25 }] })],
    ['links-skewed', calm({ acceptors: [{ links: 9_000 }, { links: 1_000 }] })],
    ['process-failing', calm({ children: [{ fault: 'silent' }] })],
    ['device-cloned', calm({ concerns: [{ about: 'cloned', figure: 5 }] })],
    ['device-flapping', calm({ concerns: [{ about: 'flapping', figure: 1 }] })],
    ['certificate-ending', calm({ concerns: [{ about: 'certificate', figure: 13 * 86_400_000 }] })],
  ]);
  t.same([...facts.keys()], [...ALARMS], 'every name');
  for (const [alarm, fault] of facts) {
    const alarms = new Alarms({ ...TIMES, alarmRaiseMs: 0 });
    // Those that are slow are as quick then.
    const changes = alarms.look(fault, 0, 1);
    t.same(
      changes.map(({ what, alarm: name }) => [what, name]),
      [['raised', alarm]],
    );
    t.ok(changes[0]?.reason, `${alarm}: ${changes[0]?.reason}`);
    t.match(alarms.raised(), [{ alarm, raisedAt: 1 }]);
    t.same(alarms.look(calm(), 1_000, 2), [], 'not at once');
    const cleared: AlarmChange[] = [];
    for (let at = 2_000; at < TIMES.alarmClearMs * 21 + 3_000; at += 1_000) {
      cleared.push(...alarms.look(calm(), at, at));
    }
    t.match(cleared, [{ alarm, what: 'cleared' }]);
    t.same(alarms.raised(), []);
  }
});

t.test('alarms: between its marks, nothing changes', async (t) => {
  const between: [AlarmName, ReturnType<typeof calm>][] = [
    ['acceptor-full', calm({ acceptors: [{ links: 90, linksMax: 100 }] })],
    ['files-high', calm({ acceptors: [{ openFiles: 924, openFilesMax: 1_024 }] })],
    ['files-high', calm({ machine: { filesShare: 0.85 } })],
    ['memory-high', calm({ acceptors: [{ heavyBytes: 60 }] })],
    ['memory-high', calm({ machine: { memoryShare: 0.92 } })],
    ['memory-high', calm({ acceptors: [{ rssBytes: 850 }], machine: { memoryMax: 1_000 } })],
    ['store-degraded', calm({ walBytes: 60 })],
    ['loop-lagging', calm({ acceptors: [{ lagSeconds: 0.2 }] })],
    ['links-skewed', calm({ acceptors: [{ links: 4_200 }, { links: 1_800 }] })],
    ['process-failing', calm({ children: [{ restarts: 2 }] })],
    ['device-flapping', calm({ concerns: [{ about: 'flapping', figure: 0.7 }] })],
    [
      'certificate-ending',
      calm({ concerns: [{ about: 'certificate', figure: 14.5 * 86_400_000 }] }),
    ],
    ['certificate-ending', calm({ concerns: [{ about: 'revocations', figure: 9 * 3_600_000 }] })],
  ];
  for (const [alarm, facts] of between) t.equal(RULES[alarm].look(facts).mark, 'between', alarm);
});

t.test('alarms: how often a process was started again, in words', async (t) => {
  const wordsOf = (restarts: number) =>
    RULES['process-failing'].look(calm({ children: [{ restarts }] })).reason;
  t.equal(wordsOf(1), 'acceptor 1 was started again once lately');
  t.equal(wordsOf(3), 'acceptor 1 was started again 3 times lately');
});

t.test('alarms: few links are never skewed, and one acceptor is not', async (t) => {
  for (const links of [[900, 100], [2_250, 750], [100_000], [0, 0]]) {
    const facts = calm({ acceptors: links.map((one) => ({ links: one })) });
    t.equal(RULES['links-skewed'].look(facts).mark, 'low', links.join());
  }
});

t.test('links-skewed: an acceptor and its successor are one', async (t) => {
  const acceptors = [
    { name: 'acceptor 1', links: 8_000 },
    { name: 'acceptor 2', links: 5_000 },
    { name: 'acceptor 2', links: 3_000 },
  ];
  t.match(RULES['links-skewed'].look(calm({ acceptors })), { mark: 'low' });
});

t.test('alarms: a reason names five, and has the number of the others', async (t) => {
  const concerns = Array.from({ length: 8 }, (_, at) => {
    return { about: 'cloned' as const, name: `door-${at}`, figure: 5 };
  });
  const { reason } = RULES['device-cloned'].look(calm({ concerns }));
  t.match(reason, /door-4: 5 takeovers without a quiet time; 3 more$/);
  t.notMatch(reason, 'door-5');
});
