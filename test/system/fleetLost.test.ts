/** Thousands of links die in one instant, again and again: normal life, not a failure. */
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import t from 'tap';
import { TYPE } from '../../src/wire/message.ts';
import { forgetTopology } from '../helpers/backend.ts';
import { findBroker } from '../helpers/broker.ts';
import { Device } from '../helpers/device.ts';
import { Server } from '../helpers/server.ts';
import { addUsers } from '../helpers/users.ts';

const LINKS = 3_000;
const TIMES = 3;

const broker = await findBroker();
const prefix = `test-${randomUUID()}`;
const users = await addUsers(broker, prefix);
const server = await Server.start({ amqp: users.owsla, prefix });
t.teardown(async () => {
  await server.stop();
  await forgetTopology(broker.url, prefix);
  await users.remove();
  await broker.stop();
});

t.test(
  `a load tester with ${LINKS} links is killed ${TIMES} times: nothing restarts`,
  async (t) => {
    const survivor = await Device.open(server.port, 'survivor');
    const logged = server.log.length;
    for (let time = 1; time <= TIMES; time += 1) {
      const fleet = fork(new URL('../../bench/clientIdle.ts', import.meta.url), [
        'frames',
        String(server.port),
        String(LINKS),
      ]);
      await once(fleet, 'message');
      await server.untilMetric('owsla_links', '', (links) => links === LINKS + 1);
      fleet.kill('SIGKILL');
      await once(fleet, 'exit');
      await server.untilMetric('owsla_links', '', (links) => links === 1);
    }
    survivor.send({ type: TYPE.PING });

    await survivor.expect(TYPE.PONG);
    t.same(server.log.slice(logged), [], 'not one log line');
    t.equal(await server.isReady(), true);
    survivor.close();
  },
);
