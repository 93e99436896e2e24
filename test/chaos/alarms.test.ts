/** The judge of alarms: what a fault has to raise, may, and must not; and that they are cleared. */
import t from 'tap';
import { alarmFailures, alarmsOf, alarmWordsOf } from './alarms.ts';

const LIMITS = { alarmRaiseMs: 3_000, reportMs: 1_000 };
const SPAN = { from: 10_000, to: 30_000 };
const CUT = 'TCP to the broker cut without FIN';

type Word = readonly [at: number, alarm: string, what: 'raised' | 'cleared'];

function failures(
  name: string,
  said: readonly Word[],
  more: { to?: number; endedAt?: number; foreign?: number } = {},
) {
  const { to = SPAN.to, endedAt = 60_000, foreign = 0 } = more;
  const words = said.map(([at, alarm, what]) => ({ at, alarm, what }));
  const around = { words, limits: LIMITS, until: 60_000, endedAt, foreign };
  return alarmFailures(name, alarmsOf(name, { from: SPAN.from, to }, around));
}

t.test('alarms: its own, cleared after it, are as promised', async (t) => {
  const said: Word[] = [
    [17_000, 'broker-blocking', 'raised'],
    [35_000, 'broker-away', 'raised'],
    [41_000, 'broker-blocking', 'cleared'],
    [50_000, 'broker-away', 'cleared'],
  ];
  t.same(failures(CUT, said), []);
  t.same(failures('a backend that nacks', []), []);
});

t.test('alarms: none, where one had to be, unless the fault was short', async (t) => {
  t.same(failures(CUT, []), [`'${CUT}' raised no alarm broker-blocking or broker-away`]);
  t.same(failures(CUT, [], { to: SPAN.from + 5_000 }), []);
});

t.test('alarms: another one, or one of nothing', async (t) => {
  const said: Word[] = [
    [17_000, 'acceptor-full', 'raised'],
    [18_000, 'acceptor-full', 'cleared'],
  ];
  t.same(failures('a backend that nacks', said), [
    "'a backend that nacks' raised the alarm acceptor-full",
  ]);
});

t.test('alarms: one that stays is told on every machine, all else on one with time', async (t) => {
  const said: Word[] = [[17_000, 'acceptor-full', 'raised']];
  t.same(failures(CUT, said, { foreign: 0.5 }), [
    `after '${CUT}' the alarm acceptor-full was not cleared`,
  ]);
});

t.test('alarms: one for restarts stands for two minutes, and no longer', async (t) => {
  const said: Word[] = [[17_000, 'process-failing', 'raised']];
  const kill = 'kill -9 the registrar';
  t.same(failures(kill, said), []);
  t.same(failures(kill, said, { endedAt: 17_000 + 150_000 }), [
    `after '${kill}' the alarm process-failing was not cleared`,
  ]);
});

t.test('alarms: what the node said before and later is not this fault’s', async (t) => {
  const said: Word[] = [
    [9_000, 'broker-away', 'raised'],
    [17_000, 'broker-blocking', 'raised'],
    [40_000, 'broker-blocking', 'cleared'],
    [60_000, 'acceptor-full', 'raised'],
  ];
  t.same(failures(CUT, said), []);
});

t.test('alarms: those of a machine that is too busy are nobody’s', async (t) => {
  t.same(failures('a backend that nacks', [[17_000, 'loop-lagging', 'raised']]), []);
});

t.test('alarms: words of a log', async (t) => {
  const log = [
    { time: '2026-01-01T00:00:02.000Z', msg: 'alarm cleared', alarm: 'broker-away' },
    { time: '2026-01-01T00:00:01.000Z', msg: 'alarm raised', alarm: 'broker-away' },
    { time: '2026-01-01T00:00:01.000Z', msg: 'ready' },
  ];
  t.match(alarmWordsOf(log), [
    { what: 'raised', alarm: 'broker-away', at: Date.UTC(2026, 0, 1, 0, 0, 1) },
    { what: 'cleared' },
  ]);
});
