/** Choices of durability at a real broker: delivery modes, queue types, and their conflict. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { EXIT } from '../../src/base/errors.ts';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Backend, echo, forgetTopology } from '../helpers/fakes/backend.ts';
import { Device, event, request } from '../helpers/fakes/device.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Cli } from '../helpers/processes/cli.ts';
import { endBroker, listening, refuses, serve, testPrefix } from '../helpers/processes/serve.ts';
import { Server } from '../helpers/processes/server.ts';

const broker = await findBroker();
t.teardown(() => endBroker(broker));

interface Seen {
  readonly event: unknown;
  readonly request: unknown;
}

/** A node with these flags, and the delivery modes of what a backend gets from it. */
async function talk(t: Test, prefix: string, flags: readonly string[]): Promise<Seen> {
  const at = names(prefix);
  const server = await Server.start({ amqp: broker.url, prefix, acceptors: 1, flags });
  const backend = await Backend.connect(broker.url);
  const device = await Device.open(server.port, 'door-17');
  t.teardown(async () => {
    device.close();
    await server.stop();
    await backend.close();
  });
  const mode = Promise.withResolvers<unknown>();
  await backend.on(at.events, '#', ({ properties }) => mode.resolve(properties.deliveryMode));
  let requestMode: unknown;
  await backend.on(at.requests, '#', (message, channel) => {
    requestMode = message.properties.deliveryMode;
    echo(message, channel);
  });
  device.send(event(1));
  t.match(await device.expect(TYPE.ACK), { id: 1 });
  device.send(request(2));
  t.match(await device.expect(TYPE.REPLY), { id: 2, status: 0 });
  return { event: await mode.promise, request: requestMode };
}

t.test('by default EVENTs are persistent, REQUESTs transient', async (t) => {
  const prefix = `test-${randomUUID()}`;
  t.teardown(() => forgetTopology(broker.url, prefix));

  t.same(await talk(t, prefix, []), { event: 2, request: 1 });
});

t.test('transient EVENTs and quorum queues: ACKed and answered all the same', async (t) => {
  const prefix = `test-${randomUUID()}`;
  t.teardown(() => forgetTopology(broker.url, prefix));
  const flags = ['--event-delivery', 'transient', '--queue-type', 'quorum'];

  t.same(await talk(t, prefix, flags), { event: 1, request: 1 });
  const backend = await Backend.connect(broker.url);
  t.teardown(() => backend.close());
  // Declared with another type it is refused, so this is the type it has.
  const arguments_ = { 'x-queue-type': 'quorum', 'x-overflow': 'drop-head' };
  const limits = { maxLength: 100_000, messageTtl: 86_400_000 };
  const { queue } = await backend.channel.assertQueue(`${prefix}.unrouted`, {
    durable: true,
    ...limits,
    arguments: arguments_,
  });
  t.equal(queue, names(prefix).unrouted);
});

t.test('another queue type than before: one sentence that names it, exit 78', async (t) => {
  const prefix = `test-${randomUUID()}`;
  t.teardown(() => forgetTopology(broker.url, prefix));
  await talk(t, prefix, []);

  const cli = serve(t, broker.url, ['--queue-type', 'quorum', '--prefix', prefix]);

  const sentence = new RegExp(
    `the queue '${prefix}.unrouted' already exists .* another 'x-queue-type' .*the queue type`,
  );
  await refuses(t, cli, EXIT.config, sentence);
});

t.test('several brokers: as a repeated flag, with commas, as a list in the file', async (t) => {
  const { server, port } = await listening(t);
  server.close();
  const gone = `amqp://guest:guest@127.0.0.1:${port}`;
  const folder = mkdtempSync(join(tmpdir(), 'owsla-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'owsla.yaml');
  writeFileSync(file, `amqp:\n  - ${gone}\n  - ${broker.url}\n`);
  const ways: [string, string[]][] = [
    [gone, ['--amqp', gone, '--amqp', broker.url]],
    [`${gone}, ${broker.url}`, []],
  ];
  for (const [amqp, args] of ways) {
    const cli = serve(t, amqp, ['--acceptors', '1', ...args]);
    t.match(await cli.said('broker not reached'), { broker: `127.0.0.1:${port}` });
    await cli.said('ready');
    await cli.destroy();
  }
  await refuses(t, serve(t, gone), EXIT.unavailable, /cannot reach the broker/);
  const ports = ['--port', '0', '--admin-port', '0', '--acceptors', '1'];
  const cli = new Cli(['serve', ...ports, '--prefix', testPrefix, '--config', file]);
  t.teardown(() => cli.destroy());
  t.match(await cli.said('broker not reached'), { broker: `127.0.0.1:${port}` });
  await cli.said('ready');
});
