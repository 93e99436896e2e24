/** The registrar's claim is told together with its connection: a start is never half ready. */
import { randomUUID } from 'node:crypto';
import { type ChannelModel, connect } from 'amqplib';
import pino from 'pino';
import t, { type Test } from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import { names } from '../../src/broker/topology.ts';
import {
  RegistrarBroker,
  type RegistrarBrokerOptions,
} from '../../src/registrar/registrarBroker.ts';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { waitFor } from '../helpers/waitFor.ts';

const broker = await findBroker();
t.teardown(() => broker.stop());

interface Part {
  readonly registrar: RegistrarBroker;
  readonly claim: string;
  readonly model: ChannelModel;
}

/** One whose commands are opened by `open`, which comes last. */
async function start(t: Test, open: () => Promise<void>): Promise<Part> {
  const prefix = `test-${randomUUID()}`;
  const registrar = new RegistrarBroker({
    urls: [broker.url],
    names: names(prefix),
    queueType: 'classic',
    limits: makeLimits({ reconnectMinMs: 10, reconnectMaxMs: 50 }),
    log: pino({ level: 'silent' }),
    publishers: [{ open: () => {}, down: () => {}, block: () => {}, close: () => {} }],
    queries: { open: async () => {} },
    consumer: { open },
    onFatal: () => {},
  } as unknown as RegistrarBrokerOptions);
  const model = await connect(broker.url);
  t.teardown(async () => {
    await registrar.close();
    await model.close();
    await forgetTopology(broker.url, prefix);
  });
  registrar.start();
  return { registrar, claim: names(prefix).claim, model };
}

t.test('while it still opens the rest it does not say that it holds the claim', async (t) => {
  const isOpening = Promise.withResolvers<void>();
  const mayGoOn = Promise.withResolvers<void>();
  const { registrar, claim, model } = await start(t, async () => {
    isOpening.resolve();
    await mayGoOn.promise;
  });
  await isOpening.promise;

  const channel = await model.createChannel();
  channel.on('error', () => {});
  await t.rejects(channel.checkQueue(claim), /RESOURCE_LOCKED/, 'the broker gave it');
  t.same([registrar.hasClaimed, registrar.isUp], [false, false]);
  mayGoOn.resolve();
  await waitFor('the claim', () => registrar.hasClaimed);
  t.equal(registrar.isUp, true);
});

t.test('the claim counts although the rest cannot be opened', async (t) => {
  const { registrar } = await start(t, () => Promise.reject(new Error('down with its node')));

  await waitFor('the claim', () => registrar.hasClaimed);

  t.equal(registrar.isUp, false);
});
