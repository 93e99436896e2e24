/** Start: the broker as `owsla serve` may find it. What it cannot use is one sentence. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import amqplib from 'amqplib';
import t from 'tap';
import { EXIT } from '../../src/base/errors.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import type { Cli } from '../helpers/processes/cli.ts';
import {
  endBroker,
  listening,
  PASSWORD,
  refuses,
  serve,
  testPrefix,
} from '../helpers/processes/serve.ts';

const broker = await findBroker();
t.teardown(() => endBroker(broker));

function urlWith(changes: {
  username?: string;
  password?: string;
  pathname?: string;
  port?: string;
}) {
  return Object.assign(new URL(broker.url), changes).href;
}

t.test('a broker that cannot be reached: one sentence, exit 69', async (t) => {
  const { server, port } = await listening(t);
  server.close();
  const url = urlWith({ port: `${port}`, password: PASSWORD });
  const sentence = new RegExp(`cannot reach the broker 127.0.0.1:${port}: connection refused`);
  await refuses(t, serve(t, url), EXIT.unavailable, sentence);
});

t.test('an AMQP URL that cannot be decoded: one sentence, exit 64', async (t) => {
  const url = `amqp://%zz:${PASSWORD}@127.0.0.1:${broker.port}`;
  await refuses(t, serve(t, url), EXIT.usage, /OWSLA_AMQP has a % in its user/);
});

t.test('a broker at an IPv6 address: the acceptors reach it as the start did', async (t) => {
  const relay = relayTo(broker.port);
  const isThere = await new Promise<boolean>((resolve) => {
    relay.once('error', () => resolve(false)).listen(0, '::1', () => resolve(true));
  });
  if (!isThere) {
    t.comment('skipped: this machine has no ::1');
    return;
  }
  t.teardown(() => relay.close());
  const { port } = relay.address() as AddressInfo;
  const url = urlWith({});
  const cli = serve(t, url.replace(`127.0.0.1:${broker.port}`, `[::1]:${port}`));

  await allLinksUp(cli);

  t.same(await cli.end(), { code: 0, signal: null });
});

t.test('a broker that does not answer: one sentence after brokerConnectMs, exit 69', async (t) => {
  const { port } = await listening(t);
  const url = urlWith({ port: `${port}` });
  const cli = serve(t, url, ['--set', 'brokerConnectMs=300ms']);
  await refuses(t, cli, EXIT.unavailable, /cannot reach the broker .* did not answer in time/);
});

t.test('a wrong password: one sentence, exit 78, with --wait-for-broker too', async (t) => {
  const url = urlWith({ username: 'nobody', password: PASSWORD });
  const sentence = /refused the name or password of user 'nobody'/;
  await refuses(t, serve(t, url), EXIT.config, sentence);
  await refuses(t, serve(t, url, ['--wait-for-broker']), EXIT.config, sentence);
});

t.test('a vhost that does not exist: one sentence, exit 78', async (t) => {
  const url = urlWith({ pathname: '/no%2Fsuch' });
  await refuses(t, serve(t, url), EXIT.config, /did not open vhost 'no\/such' for user/);
});

t.test(
  'a user without permissions: one sentence that names what was refused, exit 78',
  async (t) => {
    if (!(await hasControl())) {
      t.comment('skipped: rabbitmqctl cannot reach this broker');
      return;
    }
    const none = { configure: '', write: '', read: '' };
    const url = await broker.addUser(`${testPrefix}door`, PASSWORD, none);
    const sentence =
      /does not let user '[\w-]+door' declare or use the exchange 'test-[\w-]+\.unrouted'/;
    await refuses(t, serve(t, url), EXIT.config, sentence);
  },
);

t.test('a topology made with other arguments: one sentence that names both, exit 78', async (t) => {
  const connection = await amqplib.connect(broker.url);
  const channel = await connection.createChannel();
  const queue = `${testPrefix}other.unrouted`;
  await channel.assertQueue(queue, { durable: true, maxLength: 5 });
  t.teardown(async () => {
    await channel.deleteQueue(queue);
    await channel.deleteExchange(queue);
    await connection.close();
  });
  const env = { OWSLA_PREFIX: `${testPrefix}other` };
  const sentence = new RegExp(`the queue '${queue}' already exists .* with another 'x-`);
  await refuses(t, serve(t, broker.url, [], { env }), EXIT.config, sentence);
  await refuses(t, serve(t, broker.url, ['--wait-for-broker'], { env }), EXIT.config, sentence);
});

t.test(
  'with --wait-for-broker it starts without the broker, is not ready, and then is',
  async (t) => {
    const { server, port } = await listening(t);
    server.close();
    await once(server, 'close');
    const url = urlWith({ port: `${port}` });
    const cli = serve(t, url, ['--wait-for-broker', '--set', 'reconnectMaxMs=200ms']);
    t.match(await cli.said('waiting for broker'), { level: 'warn', broker: `127.0.0.1:${port}` });
    const { adminPort } = await cli.said('ready');
    const health = await fetch(`http://127.0.0.1:${adminPort}/health/ready`);
    t.equal(health.status, 503);

    const relay = relayTo(broker.port).listen(port, '127.0.0.1');
    t.teardown(() => relay.close());

    await allLinksUp(cli);
    t.same(await cli.end(), { code: 0, signal: null });
  },
);

/** A server that passes everything on to a port of 127.0.0.1. */
function relayTo(port: number): Server {
  return createServer((socket) => {
    const onward = connect(port, '127.0.0.1');
    for (const end of [socket, onward]) end.on('error', () => {});
    socket.pipe(onward).pipe(socket);
  });
}

/** Both links of both acceptors. */
async function allLinksUp(cli: Cli): Promise<void> {
  for (const acceptor of [1, 2]) {
    for (const link of ['publish', 'consume']) {
      await cli.line(
        (line) => line.msg === 'broker link up' && line.link === link && line.acceptor === acceptor,
      );
    }
  }
}

async function hasControl(): Promise<boolean> {
  return broker.ctl('list_vhosts').then(
    () => true,
    () => false,
  );
}
