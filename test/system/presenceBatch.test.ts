/** Changes that come one by one share transactions; a command does not wait for others. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { TYPE } from '../../src/wire/message.ts';
import { readTrace } from '../../tla/judge.ts';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { Commander } from '../helpers/fakes/commander.ts';
import { Device, event } from '../helpers/fakes/device.ts';
import { Obedient } from '../helpers/fakes/obedient.ts';
import { Subscriber } from '../helpers/fakes/subscriber.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';

const DEVICES = 40;
const COMMANDS = 40;
/** So long that nothing else takes it for each of them. */
const BATCH_MS = 1_000;

const broker = await findBroker();
const prefix = `batch-${process.pid}`;
const folder = mkdtempSync(join(tmpdir(), 'owsla-trace-'));
const server = await Server.start({
  amqp: broker.url,
  prefix,
  acceptors: 1,
  limits: { presenceBatchMs: BATCH_MS },
  flags: ['--trace-dir', folder],
});
const subscriber = await Subscriber.start(broker.url, prefix);
const commander = await Commander.connect(broker.url, prefix);
t.teardown(async () => {
  await commander.close();
  await subscriber.close();
  await server.stop();
  await forgetTopology(broker.url, prefix);
  await broker.stop();
  rmSync(folder, { recursive: true });
});

/** How often the registrar has done this step of the specification. */
function steps(step: 'Commit' | 'Up'): number {
  return readTrace(folder).filter(({ action }) => action === step).length;
}

t.test(`${DEVICES} links one after the other: a few transactions, every word told`, async (t) => {
  const before = steps('Commit');
  const began = performance.now();
  const devices: Device[] = [];
  for (let n = 0; n < DEVICES; n += 1) devices.push(await Device.open(server.port, `batch-${n}`));
  await waitFor('all told', () => subscriber.view.size === DEVICES);

  t.equal(steps('Up'), DEVICES);
  const commits = steps('Commit') - before;
  // Each batch is one, and so is what is learned of its confirms; on a busy machine they come for
  // longer.
  const batches = 2 + (performance.now() - began) / BATCH_MS;
  t.ok(commits <= Math.max(DEVICES / 4, 2 * batches), `${commits} transactions`);
  for (const device of devices) device.close();
});

t.test('a command that answers a device which has just connected finds its link', async (t) => {
  for (let n = 0; n < COMMANDS; n += 1) {
    // Every second one is a takeover.
    const device = await Device.open(server.port, `new-${n >> 1}`);
    t.teardown(() => device.close());
    device.send(event(1));
    await device.expect(TYPE.ACK);
    const sent = commander.send(`new-${n >> 1}`, { payload: `${n}` });
    const { id, payload } = await device.expect(TYPE.COMMAND);
    t.equal(payload.toString(), `${n}`);
    device.send({ type: TYPE.RESULT, id, status: 100, payload: Buffer.alloc(0) });
    t.match(await commander.final(await sent), { type: 'result', status: 100 });
  }
});

t.test('kept commands, while others come and go, do not wait for them', async (t) => {
  const device = new Obedient(server.port, 'door-1', {});
  t.teardown(() => device.sleep());
  await device.wake();
  await waitFor('door-1 online', () => subscriber.view.get('door-1')?.online === true);

  let isOver = false;
  const others = (async () => {
    while (!isOver) (await Device.open(server.port, 'flapping')).close();
  })();
  const began = performance.now();
  for (let n = 0; n < COMMANDS; n += 1) {
    t.match(await commander.command('door-1', { payload: `${n}`, keepMs: 60_000 }), {
      type: 'result',
    });
  }
  const tookMs = performance.now() - began;
  isOver = true;
  await others;

  // Two transactions each; half of BATCH_MS would be a wait's mean.
  t.ok(tookMs < (COMMANDS * BATCH_MS) / 2, `${COMMANDS} in ${Math.round(tookMs)} ms`);
});
