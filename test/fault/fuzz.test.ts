/**
 * Whatever a backend may send: properties and header tables of any bytes, of any size, as commands,
 * questions and replies, through a real broker. No process ends, no queue stands still.
 * 3,000 messages; OWSLA_SOAK=1: 50,000. SEED= repeats a run.
 */
import { connect } from 'amqplib';
import t from 'tap';
import { Random } from '../../loadgen/plan/random.ts';
import type { Properties } from '../../src/broker/content.ts';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Backend, forgetTopology } from '../helpers/fakes/backend.ts';
import { Commander } from '../helpers/fakes/commander.ts';
import { Device, request } from '../helpers/fakes/device.ts';
import { Obedient } from '../helpers/fakes/obedient.ts';
import { field, RawBackend, type RawMessage, text } from '../helpers/fakes/rawBackend.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { addUsers } from '../helpers/processes/users.ts';
import { waitFor } from '../helpers/waitFor.ts';

const MESSAGES = process.env.OWSLA_SOAK === undefined ? 3_000 : 50_000;
const BURST = 100;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const random = new Random(seed);
const below = (count: number) => random.below(count);
const pick = <T>(of: readonly T[]): T => of[below(of.length)] as T;

const broker = await findBroker();
const prefix = `fuzz-${process.pid}`;
const at = names(prefix);
const users = await addUsers(broker, prefix);
const limits = { commandResultMs: 1_000, requestMs: 2_000, takeoversMax: 1_000 };
const server = await Server.start({ amqp: users.owsla, prefix, acceptors: 1, limits });
const commander = await Commander.connect(users.backend, prefix);
const backend = await Backend.connect(users.backend);
const operator = await connect(broker.url);
const queues = await operator.createChannel();
let raw = await RawBackend.connect(users.backend);
t.teardown(async () => {
  await raw.close();
  await operator.close();
  await backend.close();
  await commander.close();
  await server.stop();
  await forgetTopology(broker.url, prefix);
  await users.remove();
  await broker.stop();
});

/** What is asked, and where the answers go. */
const asked: { replyTo: string; correlationId: string }[] = [];
await backend.on(at.requests, '#', ({ properties: { replyTo, correlationId } }) => {
  asked.push({ replyTo: String(replyTo), correlationId: String(correlationId) });
});

const DEVICES = ['fuzz-1', 'fuzz-2', 'nobody', 'no device', '', 'x'.repeat(65)];
const CUT = [0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 127, 128, 200, 254, 255];

/** Bytes as one may meet them, or not. */
function bytes(length: number): Buffer {
  const filled = pick([0, 0x20, 0x41, 0x80, 0xc3, 0xe2, 0xf0, 0xff, -1]);
  return Buffer.from(Array.from({ length }, () => (filled < 0 ? below(256) : filled)));
}

const short = () => text(bytes(pick(CUT)));

/** A value of the type `tag`, as RabbitMQ passes it; nested at most as deep as `depth`. */
function fieldBytes(tag: string, depth: number): Buffer {
  const fixed: Readonly<Record<string, number>> = { t: 1, b: 1, B: 1, s: 2, u: 2, I: 4, i: 4 };
  const wide: Readonly<Record<string, number>> = { l: 8, L: 8, T: 8, D: 5, V: 0 };
  const length = fixed[tag] ?? wide[tag];
  if (length !== undefined) return bytes(length);
  // No NaN, which closes the sender.
  if (tag === 'f') return Buffer.from([0x3f, ...bytes(3)]);
  if (tag === 'd') return Buffer.from([0x3f, ...bytes(7)]);
  let inside = bytes(pick([0, 1, 100, 5_000]));
  if (tag === 'F') inside = depth > 0 ? table(depth - 1, 3) : Buffer.alloc(0);
  if (tag === 'A') {
    const items = depth > 0 ? below(4) : 0;
    inside = Buffer.concat(
      Array.from({ length: items }, () => {
        const of = pick(TAGS);
        return Buffer.concat([Buffer.from(of), fieldBytes(of, depth - 1)]);
      }),
    );
  }
  const size = Buffer.alloc(4);
  size.writeUInt32BE(inside.length);
  return Buffer.concat([size, inside]);
}

const TAGS = [...'SltbBsuIilLfdDTVFAx'];
const KEYS = ['deadline', 'status', 'device', '__proto__', 'constructor', 'resent', 'x', ''];

function table(depth = 3, most = 6): Buffer {
  return Buffer.concat(
    Array.from({ length: below(most) }, () => {
      const tag = pick(TAGS);
      return field(below(4) > 0 ? pick(KEYS) : short(), tag, fieldBytes(tag, depth));
    }),
  );
}

function properties(): Properties {
  const given: Properties = {};
  const sometimes = (set: () => void) => {
    if (below(3) > 0) set();
  };
  sometimes(() => {
    given.messageId = below(4) > 0 ? short() : 'the same';
  });
  sometimes(() => {
    given.correlationId = short();
  });
  sometimes(() => {
    given.replyTo = pick([raw.queue, raw.queue, short(), `backend.${short()}`.slice(0, 255)]);
  });
  sometimes(() => {
    given.type = pick(['door.open', 'door.open', '', '.', short()]);
  });
  sometimes(() => {
    given.deliveryMode = pick([1, 2, 2]);
  });
  sometimes(() => {
    given.timestamp = pick([0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER]);
  });
  sometimes(() => {
    given.contentType = short();
  });
  sometimes(() => {
    given.contentEncoding = short();
  });
  sometimes(() => {
    given.appId = short();
  });
  sometimes(() => {
    given.priority = below(256);
  });
  return given;
}

const QUESTIONS = [
  '{}',
  '[]',
  'null',
  '{"device":1}',
  '{"device":"fuzz-1"}',
  '{"device":"\\ud800"}',
  '{"after":"\\u0000","limit":1}',
  '{"limit":1e308}',
  '{"__proto__":{"device":"x"}}',
  '['.repeat(4_000),
  '{"device":"x"',
];

function message(): RawMessage {
  const common = {
    properties: properties(),
    ...(below(3) > 0 ? { table: deadlineToo(table()) } : {}),
    body: bytes(pick([0, 1, 100, 5_000, 65_536, 65_537, 200_000])),
  };
  const kind = below(8);
  if (kind < 4) return { exchange: at.commands, routingKey: pick(DEVICES), ...common };
  if (kind === 4) {
    return {
      routingKey: at.presenceQuery,
      ...common,
      body: Buffer.from(pick(QUESTIONS), 'latin1'),
    };
  }
  // Straight into queues that are not for that.
  if (kind === 5) return { routingKey: pick([at.commands, at.claim, at.unrouted]), ...common };
  const reply = asked.length > 0 ? pick(asked) : undefined;
  const { replyTo = at.presenceQuery, correlationId = '' } = reply ?? {};
  const id = pick([correlationId, correlationId, short(), `${correlationId}0`.slice(0, 255)]);
  common.properties.correlationId = id;
  return { routingKey: replyTo, ...common };
}

/** Half of the tables have a good deadline, so that kept commands are kept. */
function deadlineToo(all: Buffer): Buffer {
  if (below(2) === 0) return all;
  const until = Buffer.alloc(8);
  until.writeBigInt64BE(BigInt(Date.now() + 3_000));
  return Buffer.concat([all, field('deadline', 'l', until)]);
}

t.test(`whatever backends send, everybody else is served (SEED=${seed})`, async (t) => {
  const devices = [new Obedient(server.port, 'fuzz-1'), new Obedient(server.port, 'fuzz-2')];
  t.teardown(() => devices.map((device) => device.sleep()));
  for (const device of devices) await device.wake();
  const asking = await Device.open(server.port, 'asking');
  t.teardown(() => asking.close());

  let sent = 0;
  let closed = 0;
  for (let id = 1; sent < MESSAGES; id += 1) {
    asking.send(request(id));
    for (let n = 0; n < BURST; n += 1) raw.send(message());
    sent += BURST;
    await raw.channel.waitForConfirms().catch(async () => {
      // The broker did not like one of them, and closed its sender.
      closed += 1;
      await raw.close();
      raw = await RawBackend.connect(users.backend);
    });
    raw.heard.length = 0;
    asked.splice(0, asked.length - 50);
  }

  t.comment(`${sent} messages, ${closed} closes of their sender`);
  t.ok(closed < sent / BURST / 4, `the broker took most of them: ${closed} closes`);
  await waitFor('the queue of commands to be empty', async () => {
    return (await queues.checkQueue(at.commands)).messageCount === 0;
  });
  t.match(await commander.command('fuzz-1', { keepMs: 60_000 }), { type: 'result' });
  t.match(await commander.command('fuzz-2'), { type: 'result' });
  asking.send(request(1_000_000));
  const isLast = ({ correlationId }: { correlationId: string }) =>
    correlationId.endsWith(':1000000');
  await waitFor('the last request', () => asked.some(isLast));
  const { replyTo = '', correlationId = '' } = asked.find(isLast) ?? {};
  await raw.publish({
    routingKey: replyTo,
    properties: { correlationId },
    body: Buffer.from('ok'),
  });
  for (;;) {
    const reply = await asking.expect(TYPE.REPLY);
    if (reply.id !== 1_000_000) continue;
    t.match(reply, { status: 0, payload: Buffer.from('ok') });
    break;
  }
  const crashed = server.log.filter(({ msg }) => msg === 'child crashed');
  t.same(crashed, []);
  t.equal(await server.metric('owsla_command_undecided_total'), 0);
  t.equal(await server.metric('owsla_broker_losses_total'), 0, 'no acceptor lost its connection');
  t.same(JSON.parse(await server.page('/health/ready')), { ready: true, reasons: [] });
});
