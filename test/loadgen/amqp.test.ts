/** The AMQP side on a real RabbitMQ: the backend's behaviours, and the watch of the events. */
import amqp, { type Channel, type ConsumeMessage } from 'amqplib';
import t from 'tap';
import { Backend, type BackendPlan } from '../../loadgen/backend/backend.ts';
import { Watch } from '../../loadgen/measure/watch.ts';
import { KIND, Payloads } from '../../loadgen/plan/payload.ts';
import { makePlan } from '../../loadgen/plan/settings.ts';
import { names } from '../../src/broker/topology.ts';
import { findBroker } from '../helpers/processes/broker.ts';

const RUN = 77;
const BYTES = { min: 32, max: 32 };
const broker = await findBroker();
t.teardown(() => broker.stop());

interface Bench {
  readonly channel: Channel;
  readonly prefix: string;
}

let benches = 0;

/** A channel, and a fresh prefix whose exchanges are declared as the server does. */
async function bench(t: { teardown(end: () => Promise<void>): void }): Promise<Bench> {
  benches += 1;
  const prefix = `lg${process.pid}x${benches}`;
  const connection = await amqp.connect(broker.url);
  const channel = await connection.createChannel();
  const { events, requests } = names(prefix);
  for (const exchange of [events, requests]) {
    await channel.assertExchange(exchange, 'topic', { durable: true });
  }
  t.teardown(async () => {
    for (const exchange of [events, requests]) await channel.deleteExchange(exchange);
    await connection.close();
  });
  return { channel, prefix };
}

const PLAN: Omit<BackendPlan, 'prefix' | 'queue'> = {
  url: broker.url,
  topics: '#',
  prefetch: 100,
  delayMs: { min: 0, max: 0 },
  shuffle: 0,
  errorShare: 0,
  errorStatus: 5,
  silentShare: 0,
  seed: 1,
};

/** Send `count` requests to a backend with these ways; the replies in order of arrival. */
async function answers(
  { channel, prefix }: Bench,
  ways: Partial<BackendPlan>,
  count: number,
  expected: number,
): Promise<ConsumeMessage[]> {
  const backend = new Backend({ ...PLAN, prefix, queue: `${prefix}.backend`, ...ways });
  const ready = new Promise<void>((resolve) => {
    void backend.run(resolve, () => {});
  });
  await ready;
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const replies: ConsumeMessage[] = [];
  const all = new Promise<void>((resolve) => {
    void channel.consume(queue, (message) => {
      if (message !== null) replies.push(message);
      if (replies.length === expected) resolve();
    });
  });
  for (let at = 0; at < count; at += 1) {
    const properties = { replyTo: queue, correlationId: String(at) };
    const body = Buffer.from(`body ${at}`);
    channel.publish(names(prefix).requests, `lg-1.door.badge`, body, properties);
  }
  await all;
  await backend.stop();
  return replies;
}

t.test('backend: echoes each request with its correlation id', async (t) => {
  const replies = await answers(await bench(t), {}, 20, 20);

  for (const { content, properties } of replies) {
    t.equal(content.toString(), `body ${properties.correlationId}`);
    t.same(properties.headers, {});
  }
  t.equal(new Set(replies.map(({ properties }) => properties.correlationId)).size, 20);
});

t.test('backend: shuffled replies come all, in another order', async (t) => {
  const replies = await answers(await bench(t), { shuffle: 10 }, 40, 40);

  const order = replies.map(({ properties }) => Number(properties.correlationId));
  t.notSame(
    order,
    [...order].sort((a, b) => a - b),
  );
  t.equal(new Set(order).size, 40);
});

t.test('backend: its shares of errors and silence are about what was asked for', async (t) => {
  const errors = await answers(await bench(t), { errorShare: 0.5, errorStatus: 142 }, 100, 100);
  const failed = errors.filter(({ properties }) => properties.headers?.status === 142).length;
  t.ok(failed > 30 && failed < 70, `${failed} of 100`);

  const none = await answers(await bench(t), { silentShare: 0.5 }, 100, 30);
  t.ok(none.length >= 30 && none.length < 70, 'about half stay unanswered');
});

t.test('backend: waits before each reply', async (t) => {
  const start = performance.now();
  await answers(await bench(t), { delayMs: { min: 150, max: 160 } }, 10, 10);

  t.ok(performance.now() - start >= 150);
});

t.test('watch: ACKed and missing is vanished, again is redelivered, un-ACKed is not', async (t) => {
  const { channel, prefix } = await bench(t);
  const plan = makePlan({ target: '127.0.0.1:1', devices: '2' }, [], RUN);
  const payloads = new Payloads(RUN, 1, 64);
  const watch = new Watch(plan);
  await watch.start(broker.url, prefix);
  const publish = (device: number, number: number, headers = {}): void => {
    const body = Buffer.alloc(32);
    payloads.fill(body, 0, payloads.lengthOf(device, number, BYTES), {
      device,
      number,
      kind: KIND.event,
    });
    channel.publish(names(prefix).events, `lg-${device}.hvac`, body, { headers });
  };

  for (const number of [1, 2, 4]) publish(0, number);
  for (const number of [1, 2]) publish(1, number);
  publish(0, 2, { resent: true });
  publish(0, 4);
  const sent = new Map([
    [0, 5],
    [1, 3],
  ]);
  // Of device 0, 3 is missing and 5 was never ACKed; of device 1, 3 is missing.
  const watched = await watch.finish(sent, [0, 5], 1_000);
  await watch.stop();

  t.match(watched, { delivered: 7, vanished: 2, redelivered: 2, unmarked: 1 });
  t.match(watched.examples.map(({ violation, text }) => `${violation}: ${text}`).sort(), [
    /redelivered: event 2 came again, marked/,
    /redelivered: event 4 came again, not marked/,
    /vanished: event 3 was ACKed/,
    /vanished: event 3 was ACKed/,
  ]);
});

t.test('watch: a broker that cannot be had is one sentence', { timeout: 60_000 }, async (t) => {
  const watch = new Watch(makePlan({ target: '127.0.0.1:1' }, [], RUN));

  await t.rejects(watch.start(broker.url, 'no-such-prefix', 2), {
    message: /--amqp: cannot watch no-such-prefix\.events: .*NOT_FOUND/,
  });
});
