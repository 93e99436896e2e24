/** The broker hangs, or the cable is pulled: heartbeats find out, and nothing is lost or late. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Backend, echo, forgetTopology } from '../helpers/fakes/backend.ts';
import { Device, event, request } from '../helpers/fakes/device.ts';
import { ToxicProxy } from '../helpers/fakes/toxicProxy.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';

const WINDOW = 50;
const LIMITS = {
  heartbeatMs: 1_000,
  brokerConnectMs: 2_000,
  reconnectMaxMs: 500,
  requestMs: 1_000,
  publishWindowMax: WINDOW,
};

const broker = await findBroker();
const proxy = await ToxicProxy.start(broker.port);
const prefix = `test-${randomUUID()}`;
const at = names(prefix);
const amqp = proxy.urlFor(broker.url);
const server = await Server.start({ amqp, prefix, acceptors: 1, limits: LIMITS });
const backend = await Backend.connect(broker.url);
t.teardown(async () => {
  await server.stop();
  proxy.stop();
  await backend.close();
  await forgetTopology(broker.url, prefix);
  await broker.stop();
});
/** Two of the acceptor, three of the registrar. */
const CONNECTIONS = 5;
const asked: string[] = [];
await backend.on(at.requests, '#', (message, channel) => {
  asked.push(message.content.toString());
  echo(message, channel);
});

const linkLost = () =>
  server.untilMetric('owsla_broker_up', 'link="publish"', (value) => value === 0);

/** TCP connections to the proxy, in whatever state but TIME_WAIT. */
function connections(): number {
  const port = proxy.port.toString(16).toUpperCase().padStart(4, '0');
  const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n');
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter((row) => row[2] === `0100007F:${port}` && row[3] !== '06').length;
}

t.test('a cable pulled without a FIN: found by heartbeats, healed, and nothing lost', async (t) => {
  const device = await Device.open(server.port, 'door-17');
  proxy.cut();
  const ids = Array.from({ length: 2 * WINDOW }, (_, i) => i + 1);
  device.send(request(1, 'door.open', 'too late'), ...ids.slice(1).map((id) => event(id)));
  await server.untilMetric('owsla_paused_links', '', (value) => value === 1);
  const waiting = await server.metric('owsla_confirms_waiting');

  // The REQUEST has a window of its own.
  t.ok(waiting <= WINDOW + 1, `reading stopped at the window: ${waiting}`);
  t.match(await device.expect(TYPE.REPLY), { id: 1, status: 1 }, 'the deadline holds');
  await linkLost();
  t.equal(await server.isReady(), false);
  proxy.heal();
  for (const _ of ids.slice(1)) await device.expect(TYPE.ACK);

  await server.untilMetric('owsla_paused_links', '', (value) => value === 0);
  await waitFor('what hung to be gone', () => connections() === CONNECTIONS);
  device.send(request(1_000, 'door.open', 'in time'));
  t.match(await device.expect(TYPE.REPLY), { id: 1_000, status: 0 });
  t.same(asked, ['in time'], 'what was answered with status 1 never reached the backend');
  device.close();
});

t.test('a short hang: what waited behind an answer that was due is never published', async (t) => {
  const limits = { confirmQuietMs: 100, requestMs: 1_000 };
  const own = `short-${prefix}`;
  const short = await Server.start({ amqp, prefix: own, acceptors: 1, limits });
  t.teardown(async () => {
    await short.stop();
    await forgetTopology(broker.url, own);
  });
  await backend.on(names(own).requests, '#', (message, channel) => {
    asked.push(message.content.toString());
    echo(message, channel);
  });
  const device = await Device.open(short.port, 'door-18');
  proxy.cut();
  device.send(request(1, 'door.open', 'in its machine'));
  t.match(await device.expect(TYPE.REPLY), { id: 1, status: 1 });
  device.send(request(2, 'door.open', 'held back'));
  t.match(await device.expect(TYPE.REPLY), { id: 2, status: 1 });

  // It goes on where it stopped, long before any heartbeat was missed.
  proxy.resume();
  device.send(request(3, 'door.open', 'after it'));

  t.match(await device.expect(TYPE.REPLY), { id: 3, status: 0 });
  t.ok(asked.includes('after it'));
  t.notOk(asked.includes('held back'));
  device.close();
});
