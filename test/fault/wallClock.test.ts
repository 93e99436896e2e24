/** The wall clock of a real node is set by 100 days, while it runs and while it is down. */
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { Device } from '../helpers/fakes/device.ts';
import { Subscriber } from '../helpers/fakes/subscriber.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Server, type ServerOptions } from '../helpers/processes/server.ts';
import { WallClock } from '../helpers/processes/wallClock.ts';
import { waitFor } from '../helpers/waitFor.ts';

const HUNDRED_DAYS_MS = 8_640_000_000;
const broker = await findBroker();
t.teardown(() => broker.stop());

for (const aheadMs of [HUNDRED_DAYS_MS, -HUNDRED_DAYS_MS]) {
  t.test(`${aheadMs} ms ahead, and back: every offline device is known as before`, async (t) => {
    const clock = new WallClock();
    const prefix = `wall-${randomUUID()}`;
    const options: ServerOptions = {
      amqp: broker.url,
      prefix,
      acceptors: 1,
      limits: { lingerMs: 100 },
      env: clock.env,
    };
    const server = await Server.start(options);
    const subscriber = await Subscriber.start(broker.url, prefix);
    t.teardown(async () => {
      await subscriber.close();
      await server.stop();
      await forgetTopology(broker.url, prefix);
      clock.remove();
    });
    const known = async () => {
      const { devices = [] } = await subscriber.query({});
      return devices.map(({ device, seq, online }) => [device, seq, online]);
    };
    const set = () => server.log.filter(({ msg }) => msg === 'wall clock changed');
    /** Another one looks for what it may forget as soon as it begins. */
    const another = async () => {
      const before = server.childPid('registrar');
      process.kill(before, 'SIGKILL');
      await waitFor('another registrar', () => server.childPid('registrar') !== before);
    };
    for (const name of ['door-1', 'door-2']) (await Device.open(server.port, name)).close();
    await waitFor('both to be gone', () => subscriber.view.get('door-2')?.seq === 2);
    await waitFor('both', () => subscriber.view.get('door-1')?.seq === 2);

    clock.set(aheadMs);
    await waitFor('the log', () => set().length === 1);
    t.ok(Math.abs(Number(set()[0]?.jumpMs) - aheadMs) < 60_000);
    await another();
    const device = await Device.open(server.port, 'door-2');
    await waitFor('online', () => subscriber.view.get('door-2')?.seq === 3);
    clock.set(0);
    await waitFor('the log, again', () => set().length >= 2);
    await another();

    await waitFor('the answer', async () => (await known()).length > 0);
    t.same(await known(), [
      ['door-1', 2, false],
      ['door-2', 3, true],
    ]);
    device.close();
    await waitFor('offline', () => subscriber.view.get('door-2')?.seq === 4);
  });
}
