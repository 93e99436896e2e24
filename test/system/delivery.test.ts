/** The AMQP contract on a real broker: what backends get, and what devices get back. */
import { randomUUID } from 'node:crypto';
import type { ConsumeMessage } from 'amqplib';
import t from 'tap';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { echo } from '../helpers/fakes/backend.ts';
import { Device, event, hello, request } from '../helpers/fakes/device.ts';
import { startNode } from '../helpers/processes/node.ts';
import { waitFor } from '../helpers/waitFor.ts';

const limits = { requestMs: 1_500 };
const { prefix, server, backend } = await startNode(t, { hasUsers: true, limits });
const at = names(prefix);

t.test('an EVENT reaches the events exchange with the properties of the contract', async (t) => {
  const got = Promise.withResolvers<ConsumeMessage>();
  await backend.on(at.events, '*.hvac.#', got.resolve);
  const device = await Device.connect(server.port);
  device.send(hello('therm-1'));
  const welcome = await device.expect(TYPE.WELCOME);
  const before = Date.now();
  device.send({
    type: TYPE.EVENT,
    id: 7,
    topic: 'hvac.temperature',
    payload: Buffer.from([0, 255, 1]),
    meta: { seq: 41, at: 1_700_000_000_123 },
  });
  const { fields, properties, content } = await got.promise;
  const hex = welcome.connectionId.toString('hex');
  const connection = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

  t.equal(fields.routingKey, 'therm-1.hvac.temperature');
  t.same([...content], [0, 255, 1], 'the payload is untouched');
  t.match(properties, {
    type: 'event',
    appId: 'owsla',
    messageId: `${connection}:7`,
    contentType: 'application/octet-stream',
    deliveryMode: 2,
    headers: {
      device: 'therm-1',
      connection,
      topic: 'hvac.temperature',
      seq: 41,
      at: 1_700_000_000_123,
    },
  });
  t.match(properties.headers?.peer, /^127\.0\.0\.1:\d+$/);
  t.ok(Number(properties.headers?.receivedAt) >= before);
  t.ok(Math.abs(Number(properties.timestamp) - before / 1_000) < 60, 'timestamp is in seconds');
  t.same(await device.expect(TYPE.ACK), { type: TYPE.ACK, id: 7 });
  device.close();
});

t.test('an EVENT with id 0 has no message_id and gets no ACK', async (t) => {
  const got = Promise.withResolvers<ConsumeMessage>();
  await backend.on(at.events, 'quiet.#', got.resolve);
  const device = await Device.open(server.port, 'quiet');
  device.send(event(0, 'a.b'));
  const { properties } = await got.promise;
  device.send({ type: TYPE.PING });

  t.equal(properties.messageId, undefined);
  await device.expect(TYPE.PONG);
  t.equal(device.waiting, 0);
  device.close();
});

t.test('EVENTs of one link reach one queue in order', async (t) => {
  const ids: number[] = [];
  const all = Promise.withResolvers<void>();
  await backend.on(at.events, 'ordered.#', (message) => {
    ids.push(Number(String(message.properties.messageId).split(':')[1]));
    if (ids.length === 500) all.resolve();
  });
  const device = await Device.open(server.port, 'ordered');
  device.send(...Array.from({ length: 500 }, (_, i) => event(i + 1)));
  await all.promise;

  t.same(
    ids,
    Array.from({ length: 500 }, (_, i) => i + 1),
  );
  device.close();
});

t.test('an EVENT that nobody has bound for is ACKed and kept in the unrouted queue', async (t) => {
  const device = await Device.open(server.port, 'lonely');
  device.send(event(1, 'no.one', 'kept'));
  await device.expect(TYPE.ACK);
  const kept = await backend.channel.get(at.unrouted, { noAck: true });

  t.ok(kept);
  if (kept) t.equal(kept.content.toString(), 'kept');
  device.close();
});

t.test('a REQUEST carries what its reply needs, and is answered on its own link', async (t) => {
  let seen: ConsumeMessage | undefined;
  await backend.on(at.requests, 'door-1.#', (message, channel) => {
    seen = message;
    echo(message, channel);
  });
  const device = await Device.open(server.port, 'door-1');
  device.send(request(3, 'door.badge', 'card 17'));
  const reply = await device.expect(TYPE.REPLY);

  t.match(reply, { id: 3, status: 0 });
  t.equal(reply.payload.toString(), 'card 17');
  t.match(seen?.properties, { type: 'request', deliveryMode: 1, appId: 'owsla' });
  t.equal(seen?.properties.correlationId, seen?.properties.messageId);
  t.match(seen?.properties.replyTo, new RegExp(`^${prefix}\\.acceptor\\.`));
  t.ok(Number(seen?.properties.expiration) <= 1_500);
  const left = Number(seen?.properties.headers?.deadline) - Date.now();
  t.ok(left > -1_000 && left <= 1_500, 'the deadline is a wall-clock time');
  device.close();
});

t.test('a REQUEST that no queue is bound for is answered with status 2 at once', async (t) => {
  const device = await Device.open(server.port, 'nobody-there');
  device.send(request(1));

  t.match(await device.expect(TYPE.REPLY), { id: 1, status: 2 });
  device.close();
});

t.test('REQUESTs for a full queue end in status 1, and in 4 once that is known', async (t) => {
  const { channel } = backend;
  const queue = `backend.${randomUUID()}`;
  const overflow = { 'x-overflow': 'reject-publish' };
  await channel.assertQueue(queue, { exclusive: true, maxLength: 1, arguments: overflow });
  channel.sendToQueue(queue, Buffer.from('full'));
  await channel.bindQueue(queue, at.requests, 'full.#');
  await waitFor('a full queue', async () => (await channel.checkQueue(queue)).messageCount === 1);
  const device = await Device.open(server.port, 'full');
  device.send(request(1));
  t.match(await device.expect(TYPE.REPLY), { id: 1, status: 1 });
  device.send(request(2), request(3));
  t.match(await device.expect(TYPE.REPLY), { id: 2, status: 4 });
  t.match(await device.expect(TYPE.REPLY), { id: 3, status: 4 });

  device.close();
  await channel.deleteQueue(queue);
});

t.test('a REQUEST that nobody answers ends in status 1; the late reply is dropped', async (t) => {
  const kept: ConsumeMessage[] = [];
  await backend.on(at.requests, 'slow.#', (message) => kept.push(message));
  const device = await Device.open(server.port, 'slow');
  device.send(request(1));
  t.match(await device.expect(TYPE.REPLY), { id: 1, status: 1 });
  const late = await server.metricNow('owsla_deliveries_total', 'fate="late"');
  for (const message of kept) echo(message, backend.channel);
  await server.untilMetric('owsla_deliveries_total', 'fate="late"', (value) => value > late);
  device.send({ type: TYPE.PING });

  await device.expect(TYPE.PONG);
  t.equal(device.waiting, 0);
  device.close();
});

t.test('statuses of backends: 0, 3, 5 and 100 up pass, anything else becomes 5', async (t) => {
  const given = [undefined, 0, 3, 5, 100, 65_535, 1, 2, 4, 6, 99, 65_536, -1, 'x', 1.5, true];
  const wanted = [0, 0, 3, 5, 100, 65_535, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5];
  let next = 0;
  await backend.on(at.requests, 'statuses.#', ({ properties }, channel) => {
    const status = given[next];
    next += 1;
    channel.sendToQueue(String(properties.replyTo), Buffer.alloc(0), {
      correlationId: String(properties.correlationId),
      headers: status === undefined ? {} : { status },
    });
  });
  const device = await Device.open(server.port, 'statuses');
  const statuses: number[] = [];
  for (let id = 1; id <= given.length; id += 1) {
    device.send(request(id));
    statuses.push((await device.expect(TYPE.REPLY)).status);
  }

  t.same(statuses, wanted);
  device.close();
});

t.test(
  'a reply for a gone link, garbage, or a foreign id: counted, dropped, no more',
  async (t) => {
    let replyTo = '';
    let taken = '';
    await backend.on(at.requests, 'gone.#', ({ properties }) => {
      replyTo = String(properties.replyTo);
      taken = String(properties.correlationId);
      backend.channel.sendToQueue(replyTo, Buffer.from('first'), { correlationId: taken });
    });
    const device = await Device.open(server.port, 'gone');
    device.send(request(1));
    await device.expect(TYPE.REPLY);
    const figure = (fate: string) => server.metricNow('owsla_deliveries_total', `fate="${fate}"`);
    const before = await Promise.all(['garbage', 'no-link', 'late'].map(figure));
    const send = (correlationId?: string) => {
      const properties = correlationId === undefined ? {} : { correlationId };
      backend.channel.sendToQueue(replyTo, Buffer.from('x'), properties);
    };
    send();
    send('nonsense');
    send(`${taken}0000000000000000`);
    send(`${randomUUID()}:1`);
    send(taken);
    send(taken.replace(/:1$/, ':999'));
    const rose = (at: number, by: number) => (value: number) => value === (before[at] ?? 0) + by;
    await server.untilMetric('owsla_deliveries_total', 'fate="garbage"', rose(0, 3));
    await server.untilMetric('owsla_deliveries_total', 'fate="no-link"', rose(1, 1));
    await server.untilMetric('owsla_deliveries_total', 'fate="late"', rose(2, 2));
    device.send(request(2));

    t.match(await device.expect(TYPE.REPLY), { id: 2, status: 0 });
    t.equal(device.waiting, 0);
    device.close();
  },
);
