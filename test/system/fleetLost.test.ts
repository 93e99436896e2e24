/**
 * Ten thousand links die in one instant, again and again: normal life, not a failure. `make soak`
 * does it more often.
 */
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import t from 'tap';
import { TYPE } from '../../src/wire/message.ts';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { Device, hello } from '../helpers/fakes/device.ts';
import { loopbackNet } from '../helpers/loopback.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { addUsers } from '../helpers/processes/users.ts';

const LINKS = 10_000;
const TIMES = process.env.OWSLA_SOAK === undefined ? 2 : 10;
const SURVIVORS = 50;
const net = loopbackNet();

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

/** Up, and allowed to be silent for as long as a slow machine needs to connect the fleet. */
async function survivor(at: number): Promise<Device> {
  const device = await Device.connect(server.port);
  device.send(hello(`survivor-${at}`, { keepalive: 3_600 }));
  await device.expect(TYPE.WELCOME);
  return device;
}

async function ping(devices: readonly Device[]): Promise<void> {
  for (const device of devices) device.send({ type: TYPE.PING });
  await Promise.all(devices.map((device) => device.expect(TYPE.PONG)));
}

t.test(
  `a load tester with ${LINKS} links is killed ${TIMES} times: nothing restarts`,
  async (t) => {
    const survivors = await Promise.all(Array.from({ length: SURVIVORS }, (_, i) => survivor(i)));
    const logged = server.log.length;
    for (let time = 1; time <= TIMES; time += 1) {
      // An address of its own: the ports of the last one are in TIME_WAIT.
      const fleet = fork(new URL('../helpers/processes/idleLinks.ts', import.meta.url), [
        ...[String(server.port), String(LINKS), `${net}.${time}`],
      ]);
      t.teardown(() => fleet.kill('SIGKILL'));
      const ended = once(fleet, 'exit');
      await Promise.race([once(fleet, 'message'), ended]);
      t.equal(fleet.exitCode, null, `time ${time}: all its links are up`);
      await server.untilMetric('owsla_links', '', (links) => links === LINKS + SURVIVORS);
      fleet.kill('SIGKILL');
      await ping(survivors);
      await ended;
      await server.untilMetric('owsla_sockets', '', (sockets) => sockets === SURVIVORS);
      await ping(survivors);
    }

    t.equal(await server.metric('owsla_links'), SURVIVORS, 'nobody else dropped');
    t.equal(await server.metric('owsla_restarts_total', 'role="acceptor"'), 0);
    t.same(server.log.slice(logged), [], 'not one log line');
    t.equal(await server.isReady(), true);
    for (const device of survivors) device.close();
  },
);
