/**
 * A fleet sleeps, kept commands pile up for it, and then all of it wakes: every command is acted
 * upon once, in the order of its device, while other devices talk. loadgen's ledger is the judge.
 * OWSLA_SOAK: 100,000 commands for 18,000 devices, which wake within 10 s; and the registrar's
 * memory. What that costs those who are awake, bench/studies/wake.ts measures.
 */
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { rssBytesOf } from '../../bench/lib/machine.ts';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';
import { spawnRun } from '../loadgen/spawn.ts';

const IS_SOAK = process.env.OWSLA_SOAK !== undefined;
const FLEET = IS_SOAK
  ? { devices: 18_000, commands: 100_000, publishS: 40, wakeAtS: 60, wakeS: 10, loadS: 130 }
  : { devices: 200, commands: 1_000, publishS: 2, wakeAtS: 3, wakeS: 1, loadS: 12 };
// Whoever is late in waking up has to be awake before the load ends: then nobody connects any more.
const { devices, commands, publishS, wakeAtS, wakeS, loadS } = FLEET;
/** Beyond an empty one's; 75 MiB were seen. */
const REGISTRAR_BYTES_MAX = 200 * 1_048_576;

const broker = await findBroker();
const prefix = `test-${randomUUID()}`;
const server = await Server.start({ amqp: broker.url, prefix });
t.teardown(async () => {
  await server.stop();
  await forgetTopology(broker.url, prefix);
  await broker.stop();
});

t.test(
  `${commands} kept commands for ${devices} sleepers: all acted upon once, in order`,
  { timeout: 400_000 },
  async (t) => {
    const registrar = server.childPid('registrar');
    const before = rssBytesOf([registrar]);
    const { ended } = await spawnRun([
      ...['--target', `127.0.0.1:${server.port}`, '--amqp', broker.url, '--prefix', prefix],
      ...['--devices', String(devices), '--rate', '0', '--quiet', '--connect-timeout', '60s'],
      ...['--asleep', `90%@${wakeAtS}s-${wakeAtS + wakeS}s`, '--command-to', 'asleep'],
      ...['--command-rate', String(commands / publishS), '--command-time', `${publishS}s`],
      ...['--command-kept', '100%', '--command-deadline', '200s', '--duration', `${loadS}s`],
      ...(IS_SOAK ? ['--workers', '2', '--source', '127.0.2.1-127.0.2.9'] : []),
    ]);
    let highest = before;
    await waitFor(
      'the last command to end',
      async () => {
        highest = Math.max(highest, rssBytesOf([registrar]));
        const received = await server.metric('owsla_command_received_total', 'kind="kept"');
        return received === commands && (await server.metric('owsla_command_kept')) === 0;
      },
      300_000,
    );
    const { exitCode, report, stdout } = await ended;

    t.equal(exitCode, 0, stdout);
    t.match(report?.counts, { commandsPublished: commands, commandsActed: commands });
    t.equal(report?.labelled.outcomes.result, commands);
    const grown = highest - before;
    t.ok(grown < REGISTRAR_BYTES_MAX, `the registrar grew by ${Math.round(grown / 1_048_576)} MiB`);
  },
);
