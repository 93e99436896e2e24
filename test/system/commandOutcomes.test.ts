/**
 * Commands through a real node: outcomes, sleep and wake, takeover, refusals, killed processes.
 * Owsla and the backend have the permissions that docs/amqp.md gives them, and no others.
 */
import { type Channel, connect } from 'amqplib';
import t, { type Test } from 'tap';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { Commander } from '../helpers/fakes/commander.ts';
import { Device } from '../helpers/fakes/device.ts';
import { Obedient, type ObedientOptions } from '../helpers/fakes/obedient.ts';
import { Subscriber } from '../helpers/fakes/subscriber.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { addUsers } from '../helpers/processes/users.ts';
import { waitFor } from '../helpers/waitFor.ts';

const broker = await findBroker();
const prefix = `commands-${process.pid}`;
const limits = { commandResultMs: 1_000 };
const users = await addUsers(broker, prefix);
const server = await Server.start({ amqp: users.owsla, prefix, acceptors: 2, limits });
const commander = await Commander.connect(users.backend, prefix);
const subscriber = await Subscriber.start(broker.url, prefix);
t.teardown(async () => {
  await commander.close();
  await subscriber.close();
  await server.stop();
  await forgetTopology(broker.url, prefix);
  await users.remove();
  await broker.stop();
});

function isOnline(deviceId: string): boolean {
  return subscriber.view.get(deviceId)?.online === true;
}

/** A device that is connected, and known to be. */
async function awake(t: Test, deviceId: string, options: ObedientOptions = {}): Promise<Obedient> {
  const device = new Obedient(server.port, deviceId, options);
  t.teardown(() => device.sleep());
  await device.wake();
  await waitFor(`${deviceId} online`, async () => isOnline(deviceId));
  return device;
}

async function asleep(deviceId: string, device: Obedient): Promise<void> {
  device.sleep();
  await waitFor(`${deviceId} offline`, async () => !isOnline(deviceId));
}

t.test('transient: delivered, then the result, its status and bytes untouched', async (t) => {
  const payload = Buffer.from([0, 1, 254, 255]);
  const device = await Device.open(server.port, 'door-1');
  t.teardown(() => device.close());
  await waitFor('door-1 online', async () => isOnline('door-1'));

  const id = await commander.send('door-1', { payload, topic: 'door.open' });
  const command = await device.expect(TYPE.COMMAND);
  device.send({ type: TYPE.ACK, id: command.id });
  await waitFor('delivered', async () => commander.types(id).includes('delivered'));
  device.send({ type: TYPE.RESULT, id: command.id, status: 4_711, payload: Buffer.from('ok') });

  t.match(await commander.final(id), { type: 'result', status: 4_711, text: 'ok' });
  t.same(commander.types(id), ['delivered', 'result']);
  t.match(command, { topic: 'door.open', payload });
  t.equal(command.key?.length, 16);
  const { expiresIn = 0 } = command;
  t.ok(expiresIn > 0 && expiresIn <= 1_000, String(expiresIn));
  t.equal((await server.metric('owsla_command_outcomes_total', 'type="result"')) >= 0, true);
});

t.test('transient: no link: offline; no answer, or an ACK alone: expired', async (t) => {
  t.match(await commander.command('door-nowhere'), { type: 'offline', reason: undefined });
  const dumb = await Device.open(server.port, 'door-dumb');
  t.teardown(() => dumb.close());
  await awake(t, 'door-acks', { result: () => undefined });
  await waitFor('door-dumb online', async () => isOnline('door-dumb'));
  const [silent, acked] = [await commander.send('door-dumb'), await commander.send('door-acks')];

  t.match(await commander.final(silent), { type: 'expired', reason: 'no-answer' });
  t.match(await commander.final(acked), { type: 'expired', reason: 'no-result' });
  t.same(commander.types(acked), ['delivered', 'expired']);
});

t.test('transient: the link ends before an answer: expired, link-lost', async (t) => {
  const device = await Device.open(server.port, 'door-dies');
  await waitFor('door-dies online', async () => isOnline('door-dies'));
  const id = await commander.send('door-dies');
  await device.expect(TYPE.COMMAND);
  device.close();

  t.match(await commander.final(id), { type: 'expired', reason: 'link-lost' });
});

t.test('kept: waits for a device that sleeps, and comes in order when it wakes', async (t) => {
  const device = await awake(t, 'panel-1');
  await asleep('panel-1', device);
  const ids: string[] = [];
  for (let at = 0; at < 20; at += 1) {
    ids.push(await commander.send('panel-1', { payload: String(at), keepMs: 60_000 }));
  }
  await server.untilMetric('owsla_command_kept', '', (kept) => kept === 20);

  await device.wake();

  for (const id of ids) t.match(await commander.final(id), { type: 'result', text: 'done' });
  t.same(
    device.acts,
    ids.map((_, at) => String(at)),
  );
  await server.untilMetric('owsla_command_kept', '', (kept) => kept === 0);
});

t.test('kept: a device that does not come before the deadline: expired, not-sent', async (t) => {
  const device = await awake(t, 'panel-2');
  await asleep('panel-2', device);

  const told = await commander.command('panel-2', { keepMs: 300 });

  t.match(told, { type: 'expired', reason: 'not-sent' });
  await device.wake();
  t.match(await commander.command('panel-2', { payload: 'next' }), { type: /result|offline/ });
  t.notOk(device.acts.includes('now'));
});

t.test('kept: not answered before a takeover, it comes again with the same key', async (t) => {
  const first = await Device.open(server.port, 'panel-3');
  await waitFor('panel-3 online', async () => isOnline('panel-3'));
  const id = await commander.send('panel-3', { keepMs: 60_000 });
  const command = await first.expect(TYPE.COMMAND);

  const second = await Device.open(server.port, 'panel-3');
  t.teardown(() => second.close());
  const again = await second.expect(TYPE.COMMAND);
  second.send({ type: TYPE.RESULT, id: again.id, status: 0, payload: Buffer.from('once') });

  t.same(again.key, command.key);
  t.match(await commander.final(id), { type: 'result', text: 'once' });
  t.match(await first.expect(TYPE.BYE), { reason: 'taken-over' });
});

t.test('refused with a reason, whatever is wrong; and the queue moves on', async (t) => {
  await awake(t, 'door-2');
  const long = Buffer.alloc(65_537);
  const wrong: [string, string, Parameters<Commander['send']>[1]][] = [
    ['bad-device', 'door 2', {}],
    ['bad-device', 'x'.repeat(65), {}],
    ['bad-topic', 'door-2', { topic: 'open the door' }],
    ['bad-topic', 'door-2', { topic: '' }],
    ['too-long', 'door-2', { payload: long }],
    ['bad-deadline', 'door-2', { properties: { persistent: true } }],
    ['bad-deadline', 'door-2', { properties: { persistent: true, headers: { deadline: 'soon' } } }],
    ['bad-deadline', 'door-2', { keepMs: 10_000 * 86_400_000 }],
    ['past-deadline', 'door-2', { keepMs: -1_000 }],
    ['past-deadline', 'door-2', { properties: { headers: { deadline: 1 } } }],
    ['unknown-device', 'door-never-seen', { keepMs: 60_000 }],
  ];
  for (const [reason, device, order] of wrong) {
    t.match(await commander.command(device, order), { type: 'refused', reason }, reason);
  }

  t.match(await commander.command('door-2'), { type: 'result', text: 'done' });
});

t.test('killed registrar, killed acceptors: each kept one acted upon exactly once', async (t) => {
  const devices = await Promise.all(Array.from({ length: 6 }, (_, at) => awake(t, `gate-${at}`)));
  const ids: string[] = [];
  const order = async (round: number) => {
    for (const { deviceId } of devices) {
      for (const part of ['a', 'b', 'c']) {
        const payload = `${round}${part}`;
        ids.push(await commander.send(deviceId, { payload, keepMs: 60_000 }));
      }
    }
  };
  const kill = (child: string) => process.kill(server.childPid(child), 'SIGKILL');

  await order(1);
  kill('registrar');
  await order(2);
  kill('acceptor 1');
  await order(3);
  kill('acceptor 2');
  await order(4);

  for (const id of ids) t.match(await commander.final(id), { type: 'result', text: 'done' });
  const wanted = [1, 2, 3, 4].flatMap((round) => ['a', 'b', 'c'].map((part) => `${round}${part}`));
  for (const { acts, deviceId } of devices) t.same(acts, wanted, deviceId);
});

t.test('a backend may command, and no more: not read what others are told', async (t) => {
  if (users.backend === broker.url) {
    t.comment('rabbitmqctl does not reach this broker: no users of our own');
    return;
  }
  const model = await connect(users.backend);
  model.on('error', () => {});
  const { commands } = names(prefix);
  for (const forbidden of [
    (channel: Channel) => channel.consume(commands, () => {}),
    (channel: Channel) => channel.bindQueue(commander.queue, commands, '#'),
  ]) {
    const channel = await model.createChannel();
    channel.on('error', () => {});
    await t.rejects(forbidden(channel), /ACCESS-REFUSED/);
  }
  await model.close();
});

t.test('no command was told two different ends', async (t) => {
  t.same(commander.contradictions(), []);
});
