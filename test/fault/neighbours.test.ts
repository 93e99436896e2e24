/**
 * What one queue, link or device takes from a window that all share: never more than its share.
 * Each stretch has its bad neighbour, and an innocent one beside it who must not notice.
 */
import { type ConfirmChannel, connect } from 'amqplib';
import t, { type Test } from 'tap';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Backend, echo, forgetTopology } from '../helpers/fakes/backend.ts';
import { Commander } from '../helpers/fakes/commander.ts';
import { Device, event, request } from '../helpers/fakes/device.ts';
import { Obedient } from '../helpers/fakes/obedient.ts';
import { Subscriber } from '../helpers/fakes/subscriber.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { addUsers } from '../helpers/processes/users.ts';
import { waitFor } from '../helpers/waitFor.ts';

const SHORT_MS = { nackRetryMs: 100, nackRetryMaxMs: 500, nackTriesMax: 3 };

const broker = await findBroker();
const prefix = `neighbours-${process.pid}`;
const at = names(prefix);
const users = await addUsers(broker, prefix);
const server = await Server.start({ amqp: users.owsla, prefix, acceptors: 1, limits: SHORT_MS });
const commander = await Commander.connect(users.backend, prefix);
const backend = await Backend.connect(users.backend);
const subscriber = await Subscriber.start(broker.url, prefix);
const model = await connect(users.backend);
const channel = await model.createConfirmChannel();
t.teardown(async () => {
  await subscriber.close();
  await backend.close();
  await model.close();
  await commander.close();
  await server.stop();
  await forgetTopology(broker.url, prefix);
  await users.remove();
  await broker.stop();
});
await backend.on(at.requests, '*.ask.#', echo);

/** A queue of `max` that refuses what is more; bound to `exchange` where one is given. */
async function fullQueue(t: Test, max: number, exchange?: string, key = '#'): Promise<string> {
  const queue = `backend.full.${max}.${key}.${exchange ?? ''}.${process.pid}`;
  const overflow = { 'x-overflow': 'reject-publish' };
  await channel.assertQueue(queue, { maxLength: max, durable: false, arguments: overflow });
  if (exchange !== undefined) await channel.bindQueue(queue, exchange, key);
  t.teardown(() => channel.deleteQueue(queue));
  return queue;
}

async function awake(t: Test, deviceId: string): Promise<Obedient> {
  const device = new Obedient(server.port, deviceId);
  t.teardown(() => device.sleep());
  await device.wake();
  await waitFor('online', () => subscriber.online().includes(deviceId));
  return device;
}

async function open(t: Test, deviceId: string): Promise<Device> {
  const device = await Device.open(server.port, deviceId);
  t.teardown(() => device.close());
  return device;
}

/** Publish commands by the thousand. */
async function command(
  sender: ConfirmChannel,
  devices: readonly string[],
  properties: { persistent: boolean; replyTo: string },
): Promise<void> {
  for (const device of devices) {
    sender.publish(at.commands, device, Buffer.from('now'), {
      type: 'door.open',
      headers: { deadline: Date.now() + 60_000 },
      ...properties,
    });
  }
  await sender.waitForConfirms();
}

const many = <T>(count: number, of: (n: number) => T) =>
  Array.from({ length: count }, (_, n) => of(n));

for (const persistent of [true, false]) {
  const kind = persistent ? 'kept' : 'transient';
  t.test(`a full reply queue of 5,000 ${kind} commands holds up nobody’s outcome`, async (t) => {
    const replyTo = await fullQueue(t, 10);
    await awake(t, `door-${kind}`);
    // To a device that nobody knows, or that has no link: an outcome each, at once.
    const devices = many(5_000, (n) => `nobody-${n % 50}`);
    const sent = command(channel, devices, { persistent, replyTo });

    t.match(await commander.command(`door-${kind}`, { keepMs: 60_000 }), { type: 'result' });
    t.match(await commander.command(`door-${kind}`), { type: 'result' });
    await sent;
    t.match(await commander.command(`door-${kind}`, { keepMs: 60_000 }), { type: 'result' });

    const drops = (reason: string) =>
      server.metric('owsla_command_outcome_drops_total', `reason="${reason}"`);
    await waitFor('what is more to be dropped', async () => (await drops('crowded')) > 1_000);
    await server.untilMetric('owsla_command_outcomes_waiting', '', (waiting) => waiting === 0);
    t.equal((await channel.checkQueue(replyTo)).messageCount, 10);
  });
}

t.test('a full queue of presence answers is dropped, and counted', async (t) => {
  const replyTo = await fullQueue(t, 1);
  for (let n = 0; n < 20; n += 1) {
    channel.sendToQueue(at.presenceQuery, Buffer.from('{}'), { replyTo });
  }
  await server.untilMetric('owsla_presence_queries_total', 'fate="dropped"', (n) => n >= 19);
});

t.test('a subscriber whose queue is full costs itself its events, not others', async (t) => {
  const queue = await fullQueue(t, 5, at.presence);
  const devices: Device[] = [];
  for (let n = 0; n < 50; n += 1) devices.push(await open(t, `full-${n}`));

  await waitFor('all of them', () =>
    devices.every((_, n) => subscriber.online().includes(`full-${n}`)),
  );
  await awake(t, 'after-full');
  await server.untilMetric('owsla_presence_outbox', '', (outbox) => outbox === 0);
  await server.untilMetric('owsla_presence_drops_total', 'reason="refused"', (n) => n > 0);
  t.equal((await channel.checkQueue(queue)).messageCount, 5);
});

t.test(
  'EVENTs for a full queue leave a REQUEST its answer, and other EVENTs their ACK',
  async (t) => {
    await fullQueue(t, 10, at.events, '*.flood.#');
    await backend.on(at.events, '*.hvac.#', () => {});
    const flooder = await open(t, 'flooder');
    const others = await Promise.all(many(20, (n) => open(t, `flooder-${n}`)));
    const innocent = await open(t, 'innocent');

    for (let n = 0; n < 6_000; n += 1) flooder.send(event(0, 'flood.now'));
    // With ids too, which are tried again: many links, and more than the window has.
    for (const other of others) {
      other.send(...many(256, (n) => event(n + 1, 'flood.now')));
    }
    for (let id = 1; id <= 20; id += 2) {
      innocent.send(request(id, 'ask.door'), event(id + 1, 'hvac.temp'));
      const answers = [await innocent.next(), await innocent.next()];
      t.match(
        new Set(answers.map((answer) => (answer as { type: string }).type)),
        new Set([TYPE.REPLY, TYPE.ACK]),
      );
    }

    const drops = (reason: string) =>
      server.metric('owsla_publish_drops_total', `reason="${reason}"`);
    await waitFor('the flood to be given up', async () => (await drops('refused')) > 4_000);
    await server.untilMetric('owsla_confirms_waiting', '', (waiting) => waiting === 0);
    // Whose EVENTs were given up are served all the same.
    const [other = innocent] = others;
    other.send(request(1_000, 'ask.door'));
    let answer = await other.next();
    // The queue took ten EVENTs before it was full, and some may have been of this one.
    while ((answer as { type: string }).type === TYPE.ACK) answer = await other.next();
    t.match(answer, { type: TYPE.REPLY, id: 1_000, status: 0 });
  },
);

t.test('devices that take no notice of their commands hold up no other’s', async (t) => {
  const mutes = await Promise.all(many(130, (n) => open(t, `mute-${n}`)));
  await waitFor('all of them', () =>
    mutes.every((_, n) => subscriber.online().includes(`mute-${n}`)),
  );
  await awake(t, 'healthy');
  const devices = many(130 * 16, (n) => `mute-${n % 130}`);
  await command(channel, devices, { persistent: false, replyTo: commander.queue });
  await server.untilMetric('owsla_command_open', '', (open) => open === 130 * 16);

  // Their deadline is far: an answer within a second is no chance.
  const before = performance.now();
  t.match(await commander.command('healthy'), { type: 'result' });
  t.ok(performance.now() - before < 20_000, 'long before the first of them is due');
  t.match(await commander.command('mute-0'), { type: 'refused', reason: 'busy' });
  // The last report may still count the healthy one.
  await server.untilMetric('owsla_command_open', '', (open) => open === 130 * 16);
});
