/**
 * The broker dies and comes back while devices talk: links stay, no ACKed EVENT is lost, and each
 * command has one end.
 */
import t from 'tap';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Backend, echo } from '../helpers/fakes/backend.ts';
import { Commander } from '../helpers/fakes/commander.ts';
import { Device, END, event, request } from '../helpers/fakes/device.ts';
import { Subscriber } from '../helpers/fakes/subscriber.ts';
import { startBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';

const DEVICES = 500;
const SINK = 'all-events';

const broker = await startBroker();
const prefix = 'owsla';
const at = names(prefix);
const server = await Server.start({
  amqp: broker.url,
  prefix,
  limits: { requestMs: 2_000, reconnectMaxMs: 500, publishWindowMax: 700 },
});
t.teardown(async () => {
  await server.stop();
  await broker.stop();
});

/** Sends one EVENT at a time and notes what was ACKed, until it is told to stop. */
class Talker {
  readonly acked: string[] = [];
  readonly deviceId: string;
  isStopped = false;
  hasEnded = false;
  readonly #device: Device;

  constructor(deviceId: string, device: Device) {
    this.deviceId = deviceId;
    this.#device = device;
  }

  async talk(): Promise<void> {
    for (let id = 1; !this.isStopped; id += 1) {
      this.#device.send(event(id, 'room.temperature', `${this.deviceId}:${id}`));
      const answer = await this.#device.next();
      if (answer === END || answer.type !== TYPE.ACK || answer.id !== id) {
        this.hasEnded = true;
        return;
      }
      this.acked.push(`${this.deviceId}:${id}`);
    }
  }

  get device(): Device {
    return this.#device;
  }

  /** The id after the last one used. */
  get nextId(): number {
    return this.acked.length + 1;
  }
}

t.test('500 devices talk through a kill -9 and restart of the broker', async (t) => {
  const first = await Backend.connect(broker.url);
  await first.channel.assertQueue(SINK, { durable: true });
  await first.channel.bindQueue(SINK, at.events, '#');
  // RabbitMQ forgets a binding of the last seconds when it is killed.
  await broker.eval('mnesia:sync_log().');
  const talkers = await Promise.all(
    Array.from({ length: DEVICES }, async (_, i) => {
      const deviceId = `talker-${i}`;
      return new Talker(deviceId, await Device.open(server.port, deviceId));
    }),
  );
  const talks = talkers.map((talker) => talker.talk());
  const acks = () => talkers.reduce((sum, { acked }) => sum + acked.length, 0);
  await waitFor('a thousand ACKs', () => acks() >= 1_000);

  await broker.kill();
  await server.untilMetric('owsla_broker_up', 'link="publish"', (value) => value === 0);
  t.equal(await server.isReady(), false, 'not ready while the broker is away');
  t.equal(await server.metric('owsla_links'), DEVICES, 'every link stays');
  const atKill = acks();
  await broker.start();
  await waitFor('work to resume by itself', () => acks() >= atKill + 1_000);
  for (const talker of talkers) talker.isStopped = true;
  await Promise.all(talks);

  t.equal(talkers.filter(({ hasEnded }) => hasEnded).length, 0, 'no link ended');
  await waitFor('ready health', () => server.isReady());
  const backend = await Backend.connect(broker.url);
  const stored = new Set<string>();
  let resent = 0;
  for (;;) {
    const message = await backend.channel.get(SINK, { noAck: true });
    if (message === false) break;
    stored.add(message.content.toString());
    if (message.properties.headers?.resent === true) resent += 1;
  }
  const lost = talkers.flatMap(({ acked }) => acked.filter((text) => !stored.has(text)));
  t.same(lost, [], 'every EVENT that got its ACK is in the queue');
  t.comment(`${acks()} ACKed, ${stored.size} stored, ${resent} of them re-sent`);

  await backend.on(at.requests, '#', echo);
  const answers = talkers.map(async ({ device, nextId }) => {
    device.send(request(nextId));
    return (await device.expect(TYPE.REPLY)).status;
  });
  t.same(new Set(await Promise.all(answers)), new Set([0]), 'requests are answered again');
  for (const { device } of talkers) device.close();
  await backend.close();
});

t.test('REQUESTs expire while the broker is away, and are never published later', async (t) => {
  const device = await Device.open(server.port, 'door-at-night');
  await broker.kill();
  await server.untilMetric('owsla_broker_up', 'link="publish"', (value) => value === 0);
  device.send(request(1, 'door.open'));

  t.match(await device.expect(TYPE.REPLY), { id: 1, status: 1 }, 'the deadline holds');
  await broker.start();
  const backend = await Backend.connect(broker.url);
  const seen: string[] = [];
  await backend.on(at.requests, 'door-at-night.#', (message, channel) => {
    seen.push(String(message.properties.messageId).replace(/^.*:/, ''));
    echo(message, channel);
  });
  await waitFor('ready health', () => server.isReady());
  device.send(request(2, 'door.open'));

  t.match(await device.expect(TYPE.REPLY), { id: 2, status: 0 });
  t.same(seen, ['2'], 'only the second request reached the backend');
  device.close();
  await backend.close();
});

t.test('commands under way are answered while it is away, and told when it is back', async (t) => {
  const outcomes = 'backend.outcomes';
  const before = await Commander.connect(broker.url, prefix, outcomes);
  const subscriber = await Subscriber.start(broker.url, prefix);
  const device = await Device.open(server.port, 'gate');
  await waitFor('gate online', () => subscriber.view.get('gate')?.online === true);
  await subscriber.close();
  // On a busy machine it takes long before the broker is killed: neither is late by then.
  const properties = { headers: { deadline: Date.now() + 600_000 } };
  const transient = await before.send('gate', { payload: 'now', properties });
  const kept = await before.send('gate', { payload: 'kept', keepMs: 600_000 });
  const commands = [await device.expect(TYPE.COMMAND), await device.expect(TYPE.COMMAND)];
  await server.untilMetric('owsla_command_kept', '', (count) => count === 1);
  await broker.eval('mnesia:sync_log().');

  await broker.kill();
  for (const { id, payload } of commands) {
    device.send({ type: TYPE.RESULT, id, status: 0, payload });
  }
  await server.untilMetric('owsla_command_kept', '', (count) => count === 0);
  await broker.start();
  const after = await Commander.connect(broker.url, prefix, outcomes);

  t.match(await after.final(transient), { type: 'result', text: 'now' });
  t.match(await after.final(kept), { type: 'result', text: 'kept' });
  t.same(after.contradictions(), []);
  device.close();
  await after.close();
});
