/** Presence with wills, and commands, on real nodes, judged; `make tla-trace` has all scenarios. */
import t from 'tap';
import { judge, judgeCommands, judgeWills } from '../../tla/judge.ts';
import { whyNot } from '../../tla/tlc.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { traceOf } from './scenarios.ts';
import { OBEYING } from './stage.ts';

const skip = (await whyNot()) ?? false;

t.test('what a node does while its parts are killed', { skip }, async (t) => {
  const broker = await findBroker();
  t.teardown(() => broker.stop());

  await t.test(
    'scenario: presence: it is a behaviour of Presence.tla, and of Will.tla',
    async (t) => {
      const lines = await traceOf(broker, 'allAtOnce');
      const { isAccepted, unexplained } = await judge(lines);
      t.ok(isAccepted, String(unexplained));

      const wills = await judgeWills(lines, 'door-3');
      t.ok(wills.isAccepted, String(wills.unexplained));
      t.ok(lines.some(({ action, device }) => action === 'Will!Confirm' && device === 'door-3'));
    },
  );

  await t.test('scenario: commands: it is a behaviour of Commands.tla', async (t) => {
    const lines = await traceOf(broker, 'commandedAllAtOnce');

    const { isAccepted, unexplained } = await judgeCommands(lines, OBEYING);
    t.ok(isAccepted, String(unexplained));
  });
});
