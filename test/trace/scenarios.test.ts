/** One scenario on a real node, judged; `make tla-trace` has all of them. */
import t from 'tap';
import { judge } from '../../tla/judge.ts';
import { whyNot } from '../../tla/tlc.ts';
import { findBroker } from '../helpers/broker.ts';
import { traceOf } from './scenarios.ts';

const skip = (await whyNot()) ?? false;

t.test(
  'scenario: what a node does while its parts are killed is a behaviour',
  { skip },
  async (t) => {
    const broker = await findBroker();
    t.teardown(() => broker.stop());

    const lines = await traceOf(broker, 'allAtOnce');

    const { isAccepted, unexplained } = await judge(lines);
    t.ok(isAccepted, String(unexplained));
  },
);
