/**
 * One odd message costs itself: ids of any bytes, headers of any type, names that make the broker
 * close a channel or a connection. Whoever sends them has a backend's permissions, and no others.
 */
import t, { type Test } from 'tap';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { Commander } from '../helpers/fakes/commander.ts';
import { Device, request } from '../helpers/fakes/device.ts';
import { Obedient } from '../helpers/fakes/obedient.ts';
import { FIELDS, field, RawBackend, text } from '../helpers/fakes/rawBackend.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { addUsers } from '../helpers/processes/users.ts';
import { waitFor } from '../helpers/waitFor.ts';

const broker = await findBroker();
const prefix = `poison-${process.pid}`;
const at = names(prefix);
const users = await addUsers(broker, prefix);
const server = await Server.start({ amqp: users.owsla, prefix, acceptors: 1 });
const commander = await Commander.connect(users.backend, prefix);
const raw = await RawBackend.connect(users.backend);
t.teardown(async () => {
  await raw.close();
  await commander.close();
  await server.stop();
  await forgetTopology(broker.url, prefix);
  await users.remove();
  await broker.stop();
});

const DEADLINE = () => Date.now() + 60_000;
const KEPT = 2;

/** A name of direct reply-to that another broker made: this one closes the connection for it. */
const FOREIGN =
  'amq.rabbitmq.reply-to.g1h2ABpyZXBseUA2NTgwNjc1MgAANl8AAAAAY1jSQA==.7kDy5z3zGcLJPAChwLK8Pg==';

async function awake(t: Test, deviceId: string): Promise<Obedient> {
  const device = new Obedient(server.port, deviceId);
  t.teardown(() => device.sleep());
  await device.wake();
  return device;
}

function crashes(): unknown[] {
  return server.log.filter(({ msg }) => msg === 'child crashed');
}

/** Everybody else is served. */
async function stillWorks(t: Test, deviceId: string): Promise<void> {
  await awake(t, deviceId);
  t.match(await commander.command(deviceId, { keepMs: 60_000 }), { type: 'result' });
  t.match(await commander.command(deviceId), { type: 'result' });
  t.same(crashes(), []);
  t.ok(await server.isReady());
}

for (const [what, bytes] of [
  ['no UTF-8', Buffer.alloc(100, 0xff)],
  ['as long as AMQP has it', Buffer.alloc(255, 0xc3)],
  ['every byte', Buffer.from(Array.from({ length: 255 }, (_, n) => n + 1))],
  ['NUL', Buffer.alloc(8)],
] as const) {
  t.test(`a presence query’s correlation id comes back byte for byte: ${what}`, async (t) => {
    const correlationId = text(bytes);
    const properties = { replyTo: raw.queue, correlationId };

    await raw.publish({ routingKey: at.presenceQuery, properties, body: Buffer.from('{}') });

    const { body } = await raw.answer(correlationId);
    t.match(JSON.parse(body.toString()), { devices: [] });
    await stillWorks(t, `query-${bytes.length}-${bytes[0]}`);
  });
}

t.test('a queue whose name is no UTF-8 is answered too', async (t) => {
  const queue = `backend.${text([0xff, 0xfe, 0x80])}.${process.pid}`;
  const correlationId = 'odd queue';
  const connection = await RawBackend.connect(users.backend);
  t.teardown(() => connection.close());
  // amqplib declares by UTF-8 names only: a binding by its bytes is not needed, the name is.
  const utf8 = Buffer.from('backend.ÿþ', 'utf8');
  await connection.channel.assertQueue('backend.ÿþ', { exclusive: true });
  const heard: string[] = [];
  await connection.channel.consume('backend.ÿþ', (message) => {
    if (message) heard.push(String(message.properties.correlationId));
  });

  await raw.publish({
    routingKey: at.presenceQuery,
    properties: { replyTo: text(utf8), correlationId },
    body: Buffer.from('{}'),
  });
  // And one that is nobody's.
  await raw.publish({
    routingKey: at.presenceQuery,
    properties: { replyTo: queue, correlationId },
    body: Buffer.from('{}'),
  });

  await waitFor('the answer', () => heard.length > 0);
  t.same(heard, [correlationId]);
  await stillWorks(t, 'odd-queue');
});

t.test('commands are told apart by the bytes of their ids, and told by them', async (t) => {
  const device = await awake(t, 'door-ids');
  await stillWorks(t, 'before-ids');
  const id = (number: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(number));
    return text(bytes);
  };
  for (const number of [200, 201, 0xff, 0xfffe]) {
    for (const deliveryMode of [KEPT, 1]) {
      await raw.publish({
        exchange: at.commands,
        routingKey: 'door-ids',
        properties: {
          type: 'door.open',
          deliveryMode,
          messageId: id(number + deliveryMode * 0x1_0000),
          correlationId: id(number + deliveryMode * 0x1_0000),
          replyTo: raw.queue,
          headers: { deadline: DEADLINE() },
        },
        body: Buffer.from(`command ${number} ${deliveryMode}`),
      });
    }
  }

  await waitFor('all of them', () => device.acts.length >= 8);
  for (const number of [200, 201, 0xff, 0xfffe]) {
    for (const deliveryMode of [KEPT, 1]) {
      const { properties } = await raw.answer(id(number + deliveryMode * 0x1_0000));
      t.match(properties, { appId: 'owsla' });
    }
  }
  t.equal(new Set(device.acts).size, 8, 'each is a command of its own');
});

t.test('an outcome that makes the broker close its connection costs no other', async (t) => {
  await awake(t, 'door-foreign');
  await stillWorks(t, 'before-foreign');
  for (const [deliveryMode, replyTo] of [
    [KEPT, FOREIGN],
    [1, FOREIGN],
    [KEPT, 'amq.rabbitmq.reply-to.g1h2AAAA.bbb'],
    [1, 'amq.rabbitmq.reply-to.'],
  ] as const) {
    await raw.publish({
      exchange: at.commands,
      routingKey: 'door-foreign',
      properties: {
        type: 'door.open',
        deliveryMode,
        replyTo,
        headers: { deadline: DEADLINE() },
      },
    });
  }
  // A question whose answer does the same.
  const properties = { replyTo: FOREIGN, correlationId: 'x' };
  await raw.publish({ routingKey: at.presenceQuery, properties, body: Buffer.from('{}') });

  await stillWorks(t, 'beside-foreign');

  await server.untilMetric('owsla_command_outcomes_waiting', '', (waiting) => waiting === 0);
  await stillWorks(t, 'after-foreign');
  t.same(JSON.parse(await server.page('/health/ready')), { ready: true, reasons: [] });
});

t.test('a command with a header of any type is decided about, and the next one too', async (t) => {
  await awake(t, 'door-headers');
  await stillWorks(t, 'before-headers');
  for (const [tag, value] of FIELDS) {
    const correlationId = `header ${tag}`;
    const table = field('deadline', tag, value);
    const properties = { type: 'door.open', replyTo: raw.queue, correlationId };
    await raw.publish({ exchange: at.commands, routingKey: 'door-headers', properties, table });
    const other = field('x-other', tag, value);
    const named = { ...properties, correlationId: `other ${tag}` };
    await raw.publish({
      exchange: at.commands,
      routingKey: 'door-headers',
      properties: named,
      table: other,
    });
    const { properties: told } = await raw.answer(correlationId);
    // No deadline is one of the past, or none at all.
    t.match(told.type, /^(refused|expired)$/, correlationId);
    await waitFor('an end', () =>
      raw.answers(`other ${tag}`).some(({ properties: { type } }) => type === 'result'),
    );
  }
  await stillWorks(t, 'after-headers');
});

t.test(
  'a reply with a header of any type reaches its device, with status 5 at worst',
  async (t) => {
    const device = await Device.open(server.port, 'door-replies');
    t.teardown(() => device.close());
    const replies = await RawBackend.connect(users.backend);
    t.teardown(() => replies.close());
    await replies.channel.bindQueue(replies.queue, at.requests, 'door-replies.#');
    let id = 0;
    for (const name of ['status', 'x-other']) {
      for (const [tag, value] of FIELDS) {
        id += 1;
        device.send(request(id));
        await waitFor('the request', () => replies.heard.length === id);
        const { correlationId = '', replyTo = '' } = replies.heard[id - 1]?.properties ?? {};
        const table = field(name, tag, value);
        await replies.publish({ routingKey: replyTo, properties: { correlationId }, table });

        const reply = await device.expect(TYPE.REPLY);
        t.equal(reply.id, id);
        t.equal(reply.status, name === 'status' ? expected(tag) : 0, `${name} ${tag}`);
      }
    }
    t.equal((await server.metric('owsla_broker_losses_total')) >= 0, true);
    await stillWorks(t, 'after-replies');
  },
);

/** What the values above are as a status: 255 and 65535 are the backends' own, the others none. */
function expected(tag: string): number {
  if (tag === 'B') return 255;
  return tag === 'u' ? 65_535 : 5;
}
