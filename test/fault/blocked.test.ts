/** The broker's memory alarm: links stay, nothing is lost, and no REQUEST is published late. */
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Backend, echo } from '../helpers/fakes/backend.ts';
import { Device, event, request } from '../helpers/fakes/device.ts';
import { startBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';

const broker = await startBroker();
const prefix = `test-${randomUUID()}`;
const at = names(prefix);
const limits = { requestMs: 1_000, alarmRaiseMs: 0, alarmClearMs: 0 };
const server = await Server.start({ amqp: broker.url, prefix, limits });
const blocking = (value: number) =>
  server.untilMetric('owsla_alarm', 'alarm="broker-blocking"', (is) => is === value);
const backend = await Backend.connect(broker.url);
t.teardown(async () => {
  await server.stop();
  await backend.close();
  await broker.stop();
});

const alarm = (isOn: boolean) =>
  broker.ctl('set_vm_memory_high_watermark', isOn ? '0.000001' : '0.9');

t.test('a memory alarm holds publishes back, and expired REQUESTs for good', async (t) => {
  const seen: string[] = [];
  await backend.on(at.requests, '#', (message, channel) => {
    seen.push(message.content.toString());
    echo(message, channel);
  });
  const device = await Device.open(server.port, 'door-17');
  await alarm(true);
  // The broker says `blocked` to a connection that publishes; this event is the one.
  device.send(event(1, 'a.b'));
  await server.untilMetric('owsla_broker_blocked', '', (value) => value > 0);
  await blocking(1);

  device.send(request(2, 'door.open', 'too late'), event(3, 'a.b'));
  t.match(await device.expect(TYPE.REPLY), { id: 2, status: 1 }, 'the deadline holds');
  t.equal(await server.metric('owsla_links'), 1, 'the link stays');
  await alarm(false);
  t.match(await device.expect(TYPE.ACK), { id: 1 });
  t.match(await device.expect(TYPE.ACK), { id: 3 }, 'what waited is published');
  await blocking(0);
  device.send(request(4, 'door.open', 'in time'));

  t.match(await device.expect(TYPE.REPLY), { id: 4, status: 0 });
  t.same(seen, ['in time'], 'the expired REQUEST never reached the backend');
  device.close();
});
