/** A stop: what is under way is finished first, then every device is told when to come back. */
import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import type { ConsumeMessage } from 'amqplib';
import t from 'tap';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Backend, echo, forgetTopology } from '../helpers/fakes/backend.ts';
import { Device, END, event, request } from '../helpers/fakes/device.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { addUsers } from '../helpers/processes/users.ts';
import { waitFor } from '../helpers/waitFor.ts';

const RETRY_SPREAD_MS = 20_000;

const broker = await findBroker();
const prefix = `test-${randomUUID()}`;
const at = names(prefix);
const users = await addUsers(broker, prefix);
const backend = await Backend.connect(users.backend);
const limits = { drainRetryMs: RETRY_SPREAD_MS, drainPaceMs: 300, lingerMs: 100 };
t.teardown(async () => {
  await backend.close();
  await forgetTopology(broker.url, prefix);
  await users.remove();
  await broker.stop();
});

const drainLogged = (server: Server) => server.log.some(({ msg }) => msg.startsWith('drain:'));

function isRefused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(false));
    socket.once('error', () => resolve(true));
    socket.once('connect', () => socket.destroy());
  });
}

t.test('SIGTERM: a REQUEST under way is answered before BYE, and the exit code is 0', async (t) => {
  const server = await Server.start({ amqp: users.owsla, prefix, limits });
  const kept: ConsumeMessage[] = [];
  await backend.on(at.requests, 'waiting.#', (message) => kept.push(message));
  const device = await Device.open(server.port, 'waiting');
  device.send(request(1));
  await waitFor('the request at the backend', () => kept.length === 1);

  server.signal('SIGTERM');
  await waitFor('the drain to begin', () => drainLogged(server));
  device.send(request(2));
  for (const message of kept) echo(message, backend.channel);
  const reply = await device.expect(TYPE.REPLY);
  const bye = await device.expect(TYPE.BYE);

  t.match(reply, { id: 1, status: 0 });
  t.equal(bye.reason, 'draining');
  t.ok(bye.retryAfter !== undefined && bye.retryAfter <= RETRY_SPREAD_MS);
  t.equal(await device.next(), END, 'then FIN; REQUEST 2 was not read');
  t.equal(await server.ended(), 0);
  t.equal(kept.length, 1);
});

t.test('SIGINT: 300 links are told over the pace time, with spread retryAfter', async (t) => {
  const server = await Server.start({ amqp: users.owsla, prefix, limits });
  const devices = await Promise.all(
    Array.from({ length: 300 }, (_, i) => Device.open(server.port, `many-${i}`)),
  );
  server.signal('SIGINT');
  const byes = await Promise.all(devices.map((device) => device.expect(TYPE.BYE)));
  const retries = byes.map(({ retryAfter }) => retryAfter ?? -1).sort((a, b) => a - b);

  t.same(new Set(byes.map(({ reason }) => reason)), new Set(['draining']));
  t.ok((retries[0] ?? 0) < RETRY_SPREAD_MS / 4, 'some come back soon');
  t.ok((retries.at(-1) ?? 0) > (RETRY_SPREAD_MS * 3) / 4, 'and some late');
  t.equal(await server.ended(), 0);
});

t.test('a stopping node accepts nobody, and ACKs what it has published', async (t) => {
  const server = await Server.start({ amqp: users.owsla, prefix, limits });
  const kept: ConsumeMessage[] = [];
  await backend.on(at.requests, 'holding.#', (message) => kept.push(message));
  const device = await Device.open(server.port, 'holding');
  device.send(request(1), event(2));
  await device.expect(TYPE.ACK);
  await waitFor('the request at the backend', () => kept.length === 1);
  server.signal('SIGTERM');
  await waitFor('the drain to begin', () => drainLogged(server));
  await waitFor('connects to be refused', () => isRefused(server.port));
  for (const message of kept) echo(message, backend.channel);

  t.match(await device.expect(TYPE.REPLY), { id: 1, status: 0 });
  t.equal(await server.ended(), 0);
});

t.test('a REQUEST that nobody answers holds a stop no longer than drainMs', async (t) => {
  const quick = { ...limits, drainMs: 200, requestMs: 60_000 };
  const server = await Server.start({ amqp: users.owsla, prefix, limits: quick });
  const got = Promise.withResolvers<void>();
  await backend.on(at.requests, 'never.#', () => got.resolve());
  const device = await Device.open(server.port, 'never');
  device.send(request(1));
  await got.promise;
  server.signal('SIGTERM');

  t.equal((await device.expect(TYPE.BYE)).reason, 'draining');
  t.equal(await server.ended(), 0);
});
