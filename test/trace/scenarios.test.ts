/** A scenario of presence and one of commands on real nodes, judged; `make tla-trace` has all. */
import t from 'tap';
import { judge, judgeCommands } from '../../tla/judge.ts';
import { whyNot } from '../../tla/tlc.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { traceOf } from './scenarios.ts';
import { OBEYING } from './stage.ts';

const skip = (await whyNot()) ?? false;

t.test('what a node does while its parts are killed', { skip }, async (t) => {
  const broker = await findBroker();
  t.teardown(() => broker.stop());

  await t.test('scenario: presence: it is a behaviour of Presence.tla', async (t) => {
    const { isAccepted, unexplained } = await judge(await traceOf(broker, 'allAtOnce'));

    t.ok(isAccepted, String(unexplained));
  });

  await t.test('scenario: commands: it is a behaviour of Commands.tla', async (t) => {
    const lines = await traceOf(broker, 'commandedAllAtOnce');

    const { isAccepted, unexplained } = await judgeCommands(lines, OBEYING);
    t.ok(isAccepted, String(unexplained));
  });
});
