/**
 * A cut of the chaos suite: as many faults as fit into some 15 s, in an order from a printed seed.
 * `make chaos` runs all of them, at full size. What takes longest to come back has tests of its
 * own: test/fault/brokerRestart.test.ts and blocked.test.ts.
 */
import { randomInt } from 'node:crypto';
import t from 'tap';
import { Random } from '../../loadgen/plan/random.ts';
import { chaos, inRandomOrder } from './chaos.ts';
import { FAULTS } from './faults.ts';
import { writeTable } from './table.ts';

const LONG = ['kill -9 the broker, start it again', 'memory alarm at the broker'];
const seed = Number(process.env.SEED || randomInt(2 ** 31));

t.test('chaos: what comes first takes no other’s place', async (t) => {
  const order = inRandomOrder(['a', 'b', 'c'], new Random(seed), ['b', 'b']);
  const names = Array.from({ length: 5 }, () => order.next().value);
  t.same(names.slice(0, 2), ['b', 'b']);
  t.same(names.slice(2).toSorted(), ['a', 'b', 'c']);
});

t.test(`chaos: every promise is kept through faults (SEED=${seed})`, async (t) => {
  const faults = Object.fromEntries(
    Object.entries(FAULTS).filter(([name]) => !LONG.includes(name)),
  );
  const outcome = await chaos(
    {
      seed,
      durationMs: 12_000,
      devices: 200,
      visitors: 100,
      perSecond: 200,
      commandsPerSecond: 60,
      keepMs: 5_000,
      isPrompt: false,
      acceptors: 2,
      nodes: 1,
      // Short, so that faults are short; deadlines of the test itself are generous.
      limits: {
        ...{ requestMs: 1_500, heartbeatMs: 1_000, commandResultMs: 1_000 },
        // Visitors come and go all the time.
        ...{ deviceFlapsMax: 1_000_000, alarmRaiseMs: 500, alarmClearMs: 500 },
      },
      lateMs: 2_000,
      warmMs: 500,
      calmMs: 500,
      faults,
      // Long enough to be sure of its alarm.
      first: ['TCP to the broker cut without FIN'],
      times: { stoppedMs: 2_000, alarmMs: 0, cutMs: 8_000, awayMs: 500, mannerMs: 1_000 },
      promptMs: 3_000,
      backMs: 30_000,
      graceMs: 15_000,
      memoryMax: 0,
    },
    (line) => t.comment(line),
  );

  t.comment(writeTable(outcome));
  t.same(outcome.failures, []);
  t.match(outcome.suffered[0]?.alarms.raised.join(), /broker-(?:blocking|away)/);
  t.ok(outcome.suffered.length >= 1, `${outcome.suffered.length} faults`);
  t.ok(outcome.books.counts.acks > 0 && outcome.books.counts.requestsGot > 0, 'under load');
  t.same([...outcome.books.tongues.keys()].toSorted(), ['mqtt-3.1.1', 'mqtt-5', 'owsla']);
  t.ok(outcome.wills.counts.published > 0, 'wills came');
  t.ok(outcome.commands.counts.acts > 0 && outcome.commands.outcomes.size > 0, 'and commanded');
});
