/**
 * A node whose data folder is on a disk that fills: devices are served, health says what is wrong,
 * and it heals without a restart.
 */

import { randomUUID } from 'node:crypto';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import t from 'tap';
import { EXIT } from '../../src/base/errors.ts';
import { TYPE } from '../../src/wire/message.ts';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { Device } from '../helpers/fakes/device.ts';
import { Subscriber } from '../helpers/fakes/subscriber.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { refuses, serve } from '../helpers/processes/serve.ts';
import { Server, type ServerOptions } from '../helpers/processes/server.ts';
import { smallDisk, whyNoSmallDisk } from '../helpers/processes/smallDisk.ts';
import { waitFor } from '../helpers/waitFor.ts';

/** Generous: it only tells a hang from a wait. */
const LONG_MS = 60_000;
const MiB = 1_048_576;
const FLAPPERS = 16;
const skip = whyNoSmallDisk() ?? false;
const broker = await findBroker();
const prefix = `disk-${randomUUID()}`;
t.teardown(async () => {
  await forgetTopology(broker.url, prefix);
  await broker.stop();
});

async function degraded(server: Server): Promise<string> {
  const { ready, degraded } = JSON.parse(await server.page('/health/ready'));
  return ready === true ? (degraded?.[0]?.reason ?? '') : 'not ready';
}

/** Devices come and go until it ends; the log of the store grows with each. */
async function flap(server: Server, isOver: () => boolean): Promise<void> {
  const one = async (name: string) => {
    while (!isOver()) (await Device.open(server.port, name)).close();
  };
  await Promise.all(Array.from({ length: FLAPPERS }, (_, at) => one(`flapper-${at}`)));
}

t.test(
  'a 12 MB disk, and somebody reads: degraded, and whole when they end',
  { skip },
  async (t) => {
    const folder = smallDisk(t, 12);
    const options: ServerOptions = {
      amqp: broker.url,
      prefix,
      acceptors: 1,
      limits: {
        presenceRetryMs: 100,
        presenceBatchMs: 0,
        lingerMs: 100,
        connectsPerSecond: 100_000,
        ...{ alarmRaiseMs: 0, alarmClearMs: 0 },
      },
      flags: ['--data-dir', folder],
    };
    const server = await Server.start(options);
    t.teardown(() => server.stop());
    const subscriber = await Subscriber.start(broker.url, prefix);
    t.teardown(() => subscriber.close());
    const wordOf = (device: string) => subscriber.view.get(device);
    const stays = await Device.open(server.port, 'stays');
    await waitFor('online', () => wordOf('stays')?.online === true, LONG_MS);

    const reader = new DatabaseSync(join(folder, 'presence.db'), { readOnly: true });
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM presence').get();
    let isFull = false;
    const flapping = flap(server, () => isFull);
    const full = async () => /the disk is full/.test(await degraded(server));
    await waitFor('degraded', full, LONG_MS);
    isFull = true;
    await flapping;
    await server.untilMetric('owsla_presence_wal_bytes', '', (bytes) => bytes > 2 * MiB);
    await server.untilMetric('owsla_presence_degraded', '', (value) => value === 1);
    await server.untilMetric('owsla_alarm', 'alarm="store-degraded"', (value) => value === 1);
    stays.send({ type: TYPE.PING });
    await stays.expect(TYPE.PONG);
    const late = await Device.open(server.port, 'late');

    reader.close();

    await waitFor('whole again', async () => (await degraded(server)) === '', LONG_MS);
    await waitFor('the truth', () => wordOf('late')?.online === true, LONG_MS);
    const isTold = () => subscriber.online().toSorted().join() === 'late,stays';
    await waitFor('every last word', isTold, LONG_MS);
    await server.untilMetric('owsla_presence_wal_bytes', '', (bytes) => bytes < 2 * MiB);
    await server.untilMetric('owsla_alarm', 'alarm="store-degraded"', (value) => value === 0);
    t.match(server.log.filter(({ msg }) => msg === 'presence store failed')[0], { fault: 'full' });
    t.notOk(server.log.some(({ msg }) => msg === 'child crashed'));
    late.close();
  },
);

t.test('a start on a full disk: one sentence that says so, exit 69', { skip }, async (t) => {
  const folder = smallDisk(t, 12);
  const file = join(folder, 'filler');
  const descriptor = openSync(file, 'w');
  t.throws(() => {
    for (;;) writeSync(descriptor, Buffer.alloc(MiB, 1));
  }, /ENOSPC/);
  closeSync(descriptor);

  const cli = serve(t, broker.url, ['--data-dir', join(folder, 'data')]);

  await refuses(t, cli, EXIT.unavailable, /the disk is full/);
  rmSync(file);
});
