/**
 * The presence store fails, or the process that writes it is killed between any two statements:
 * devices are served, nothing wrong is told, and in the end everything that is true.
 * OWSLA_SOAK: every step in turn, for links that begin and end and for the whole tree.
 */
import { randomUUID } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { EXIT } from '../../src/base/errors.ts';
import { TYPE } from '../../src/wire/message.ts';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { Device } from '../helpers/fakes/device.ts';
import { Subscriber } from '../helpers/fakes/subscriber.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { refuses, serve } from '../helpers/processes/serve.ts';
import { Server, type ServerOptions } from '../helpers/processes/server.ts';
import { SqliteFaults } from '../helpers/processes/sqliteFaults.ts';
import { waitFor } from '../helpers/waitFor.ts';

/** Generous: it only tells a hang from a wait. */
const LONG_MS = 60_000;
const IS_SOAK = process.env.OWSLA_SOAK !== undefined;
const PREFIX = 'store';
const dataDir = mkdtempSync(join(tmpdir(), 'owsla-data-'));
const broker = await findBroker();
const faults = new SqliteFaults();
const options: ServerOptions = {
  amqp: broker.url,
  prefix: `${PREFIX}-${randomUUID()}`,
  acceptors: 1,
  limits: { presenceRetryMs: 100, restartsMax: 1_000, lingerMs: 100 },
  flags: ['--data-dir', dataDir],
  env: faults.env,
};
let server = await Server.start(options);
const subscriber = await Subscriber.start(broker.url, options.prefix);
t.teardown(async () => {
  faults.clear();
  await subscriber.close();
  await server.stop();
  await forgetTopology(broker.url, options.prefix);
  await broker.stop();
  faults.remove();
  rmSync(dataDir, { recursive: true });
});

const wordOf = (device: string) => subscriber.view.get(device);

/** What has been said of a device, each word once: events may come twice. */
function words(device: string): string[] {
  const heard = subscriber.heard.filter((event) => event.device === device);
  return [...new Set(heard.map(({ seq, online, reason }) => `${seq} ${online} ${reason}`))];
}

/** Why the node calls itself degraded; empty when it does not. */
async function degraded(): Promise<string> {
  const { ready, degraded } = JSON.parse(await server.page('/health/ready'));
  return ready === true ? (degraded?.[0]?.reason ?? '') : 'not ready';
}

async function answersPing(device: Device): Promise<void> {
  device.send({ type: TYPE.PING });
  await device.expect(TYPE.PONG);
}

/** BEGIN is the first; a row, its event, what is settled, the lived time, and the end follow. */
const STATEMENTS = [0, 1, 2, 3, 4, 'committed'] as const;

t.test(
  'the registrar is killed between any two steps of a transaction: nothing is lost',
  async (t) => {
    const expected: string[] = [];
    const killed = async (before: (typeof STATEMENTS)[number], change: () => unknown) => {
      faults.order({ kill: 'registrar', before });
      await change();
      await waitFor(`death before ${before}`, () => faults.isDone, LONG_MS);
    };
    for (const before of STATEMENTS) {
      let device: Device | undefined;
      const connect = async () => {
        device = await Device.open(server.port, 'door-17');
      };
      // Each end is a transaction of the same steps: one of them will do in short.
      const isEndKilled = IS_SOAK || before === 2;
      await killed(before, connect);
      expected.push(`${expected.length + 1} true connected`);
      await waitFor('online', () => wordOf('door-17')?.seq === expected.length, LONG_MS);
      if (isEndKilled) await killed(before, () => device?.close());
      else device?.close();
      await waitFor('offline', () => wordOf('door-17')?.seq === expected.length + 1, LONG_MS);
      // Whether it still heard the reason depends on when it died.
      const { reason } = wordOf('door-17') ?? {};
      t.ok(reason === 'peer-fin' || reason === 'missed', `ended with ${reason}`);
      expected.push(`${expected.length + 1} false ${reason}`);
    }

    t.same(words('door-17'), expected, 'one word for each change');
  },
);

t.test('everything is killed between two steps: the next start tells what is true', async (t) => {
  for (const before of IS_SOAK ? STATEMENTS : [3 as const]) {
    await Device.open(server.port, `stays-${before}`);
    await waitFor('online', () => wordOf(`stays-${before}`)?.online === true, LONG_MS);
    faults.order({ kill: 'tree', before });
    Device.open(server.port, `newcomer-${before}`).catch(() => {});
    await waitFor(`death before ${before}`, () => faults.isDone, LONG_MS);
    await server.ended();
    server = await Server.start(options);
    await waitFor('offline', () => subscriber.online().length === 0, LONG_MS);

    t.same(words(`stays-${before}`), ['1 true connected', '2 false node-ended']);
    // The transaction may have been another one, of confirms only, ahead of the newcomer's.
    const told = words(`newcomer-${before}`);
    const isRecorded = before === 'committed' && told.length > 0;
    t.same(told, isRecorded ? ['1 true connected', '2 false node-ended'] : [], `before ${before}`);
  }
});

for (const fault of ['full', 'read-only', 'corrupt'] as const) {
  t.test(`a store that turns ${fault}: health says so, devices are served`, async (t) => {
    t.equal(await degraded(), '');
    const { length } = subscriber.heard;
    const failed = () => server.log.filter((line) => line.msg === 'presence store failed');
    const before = failed().length;

    faults.order({ fault });
    const device = await Device.open(server.port, fault);
    await waitFor('degraded', async () => /store .*presence\.db/.test(await degraded()), LONG_MS);
    await server.untilMetric('owsla_presence_degraded', '', (value) => value === 1);
    await waitFor('the log', () => failed().length > before, LONG_MS);
    t.match(failed().slice(before), [{ level: 'error', fault }]);
    t.equal(failed().length, before + 1, 'said once');
    await answersPing(device);
    t.equal(subscriber.heard.length, length, 'nothing is told');

    faults.clear();
    // A corrupt file is not believed again before a restart has looked through it.
    if (fault === 'corrupt') process.kill(server.childPid('registrar'), 'SIGKILL');
    await waitFor('the truth', () => wordOf(fault)?.online === true, LONG_MS);
    await waitFor('whole again', async () => (await degraded()) === '', LONG_MS);
    t.same(words(fault), ['1 true connected']);
  });
}

t.test(
  'the data folder is removed: a new store, a new epoch, and every link is told',
  async (t) => {
    const device = await Device.open(server.port, 'in-between');
    await waitFor('online', () => wordOf('in-between')?.online === true, LONG_MS);
    const { epoch } = wordOf('in-between') ?? { epoch: 0 };

    rmSync(dataDir, { recursive: true });
    // The next transaction finds it.
    (await Device.open(server.port, 'passer-by')).close();

    const isNew = () => (wordOf('in-between')?.epoch ?? 0) > epoch;
    await waitFor('a later epoch', isNew, LONG_MS);
    await waitFor('whole again', async () => (await degraded()) === '', LONG_MS);
    t.match(wordOf('in-between'), { online: true, seq: 1 });
    await answersPing(device);
    device.close();
    await waitFor('offline', () => wordOf('in-between')?.online === false, LONG_MS);
  },
);

t.test('a store that is damaged while a registrar restarts: degraded, and no event', async (t) => {
  const device = await Device.open(server.port, 'last');
  await waitFor('online', () => wordOf('last')?.online === true, LONG_MS);
  const known = new Set(subscriber.heard.map((event) => JSON.stringify(event)));
  const registrar = server.childPid('registrar');
  process.kill(registrar, 'SIGSTOP');
  const file = openSync(join(dataDir, 'presence.db'), 'r+');
  writeSync(file, Buffer.alloc(4_096, 0xff), 0, 4_096, 0);
  closeSync(file);
  rmSync(join(dataDir, 'presence.db-wal'));
  process.kill(registrar, 'SIGKILL');

  await waitFor('degraded', async () => /is not an SQLite file/.test(await degraded()), LONG_MS);
  await answersPing(device);
  device.close();
  await answersPing(await Device.open(server.port, 'another'));
  t.match(await subscriber.query({}), { error: 'unavailable' });
  const news = subscriber.heard.filter((event) => !known.has(JSON.stringify(event)));
  t.same(news, [], 'nothing is told');
});

t.test('a start with a damaged store: one sentence, exit 78', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'owsla-data-'));
  t.teardown(() => rmSync(dataDir, { recursive: true }));
  const file = openSync(join(dataDir, 'presence.db'), 'w');
  writeSync(file, Buffer.alloc(9_000, 0x41));
  closeSync(file);

  const cli = serve(t, broker.url, ['--data-dir', dataDir]);

  await refuses(
    t,
    cli,
    EXIT.config,
    /presence\.db is not an SQLite file; restore it from a backup/,
  );
});
