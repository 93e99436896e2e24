/** Admin: health and metrics over HTTP, of a real node. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import t from 'tap';
import { Device } from '../helpers/fakes/device.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { noPromtool } from '../helpers/processes/programs.ts';
import { endBroker, figure, isReady, listening, page, serve } from '../helpers/processes/serve.ts';
import { waitFor } from '../helpers/waitFor.ts';

const broker = await findBroker();
t.teardown(() => endBroker(broker));

t.test('a node that works is live and ready, and lists its pages', async (t) => {
  const cli = serve(t, broker.url);
  await isReady(cli);

  t.same(await page(cli, '/health/live'), { status: 200, text: '{"live":true,"reasons":[]}' });
  t.same(await page(cli, '/health/ready'), { status: 200, text: '{"ready":true,"reasons":[]}' });
  const index = await page(cli, '/');
  for (const path of ['/health/live', '/health/ready', '/metrics']) t.match(index.text, path);
  t.equal((await page(cli, '/nothing')).status, 404);
});

t.test('metrics: links, messages, closes and processes; no series for a device', async (t) => {
  const cli = serve(t, broker.url);
  await isReady(cli);
  const device = await Device.open(Number((await cli.said('ready')).port), 'lobby-door');
  const hellos = () => figure(cli, 'owsla_messages_in_total{type="hello"}');
  await waitFor('the HELLO', async () => (await hellos()) === 1);

  t.equal(await figure(cli, 'owsla_links'), 1);
  t.equal(await figure(cli, 'owsla_broker_up{link="publish"}'), 2);
  t.equal(await figure(cli, 'owsla_ready'), 1);
  t.equal(await figure(cli, 'owsla_restarts_total{role="acceptor"}'), 0);
  t.ok((await figure(cli, 'owsla_rss_bytes')) > 1e7);
  t.ok((await figure(cli, 'owsla_links_max')) > 0);
  t.ok((await figure(cli, 'owsla_kernel_listen_overflows_total')) >= 0);
  t.notMatch((await page(cli, '/metrics')).text, 'lobby');
  device.close();
  await waitFor('the close', async () => (await figure(cli, 'owsla_links')) === 0);
  t.equal(await figure(cli, 'owsla_accepts_total'), 1);
});

t.test(
  'promtool has nothing against the names and helps of metrics',
  { skip: noPromtool },
  async (t) => {
    const cli = serve(t, broker.url);
    await isReady(cli);
    const { text } = await page(cli, '/metrics');

    const judged = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });

    t.same([judged.stderr, judged.stdout, judged.status], ['', '', 0]);
  },
);

t.test('a node whose broker is gone is live, and not ready until it is back', async (t) => {
  const sockets = new Set<Socket>();
  const relay = createServer((socket) => {
    const onward = connect(broker.port, '127.0.0.1');
    for (const end of [socket, onward]) {
      sockets.add(end);
      end.on('error', () => {});
    }
    socket.pipe(onward).pipe(socket);
  });
  const { port } = await listening(t, relay);
  const url = Object.assign(new URL(broker.url), { port }).href;
  const cli = serve(t, url, ['--set', 'reconnectMaxMs=100ms']);
  await isReady(cli);

  relay.close();
  for (const socket of sockets) socket.destroy();

  await waitFor('not ready', async () => (await page(cli, '/health/ready')).status === 503);
  const reason = 'no broker connection';
  const reasons = [1, 2].map((acceptor) => ({ acceptor, reason }));
  const text = JSON.stringify({ ready: false, reasons });
  await waitFor('both reasons', async () => (await page(cli, '/health/ready')).text === text);
  t.equal((await page(cli, '/health/live')).status, 200);
  relay.listen(port, '127.0.0.1');
  await isReady(cli);
});

t.test('a node that stops is not ready, and says so until its last link has ended', async (t) => {
  const cli = serve(t, broker.url, ['--set', 'lingerMs=2s']);
  await isReady(cli);
  // Says nothing more, not even FIN: its linger is what the stop waits for.
  const socket = connect({ port: Number((await cli.said('ready')).port), allowHalfOpen: true });
  await once(socket, 'connect');
  t.teardown(() => socket.destroy());
  await waitFor('the link', async () => (await figure(cli, 'owsla_links')) === 1);

  cli.process.kill('SIGTERM');

  await waitFor('stopping', async () => (await page(cli, '/health/ready')).status === 503);
  const text = '{"ready":false,"reasons":[{"reason":"stopping"}]}';
  t.same(await page(cli, '/health/ready'), { status: 503, text });
  t.same(await cli.exited, { code: 0, signal: null });
});

t.test('a node whose supervisor has stopped is not live', async (t) => {
  const cli = serve(t, broker.url, ['--set', 'childSilenceMs=2s']);
  await isReady(cli);

  process.kill(cli.pid, 'SIGSTOP');

  await waitFor('not live', async () => (await page(cli, '/health/live')).status === 503);
  process.kill(cli.pid, 'SIGCONT');
  await waitFor('live again', async () => (await page(cli, '/health/live')).status === 200);
  t.same(await cli.end(), { code: 0, signal: null });
});

t.test(
  'beyond adminConnectionsMax the idle connection is closed; the new one is served',
  async (t) => {
    const cli = serve(t, broker.url, ['--set', 'adminConnectionsMax=1']);
    const { adminPort } = await cli.said('ready');
    const first = connect(Number(adminPort), '127.0.0.1');
    t.teardown(() => first.destroy());
    await once(first, 'connect');
    first.write('GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n');
    t.match(String((await once(first, 'data'))[0]), /^HTTP\/1.1 200/);

    const end = new Promise((resolve) => first.on('error', () => {}).on('close', resolve));

    const second = connect(Number(adminPort), '127.0.0.1');
    t.teardown(() => second.destroy());
    await end;

    second.write('GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n');
    t.match(String((await once(second, 'data'))[0]), /^HTTP\/1.1 200/);
  },
);

t.test('40 clients that ask for /metrics 1,500 times and do not read cost little', async (t) => {
  const cli = serve(t, broker.url);
  await isReady(cli);
  const { childPid } = await cli.line(
    ({ child, msg }) => child === 'observer' && msg === 'child ready',
  );
  const closes = () => figure(cli, 'owsla_admin_closes_total{reason="pipelined"}');
  const { adminPort } = await cli.said('ready');
  const wave = async (ended: number) => {
    const sockets = Array.from({ length: 40 }, () => connect(Number(adminPort), '127.0.0.1'));
    t.teardown(() => sockets.map((socket) => socket.destroy()));
    for (const socket of sockets) {
      socket.on('error', () => {}).pause();
      socket.write('GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'.repeat(1_500));
    }
    await waitFor('their end', async () => (await closes()) === ended);
    return residentBytes(Number(childPid));
  };

  // The first wave grows the heap, and leaves garbage of it, by as much as V8 likes.
  const first = await wave(40);
  const second = await wave(80);

  const grown = (second - first) / 2 ** 20;
  // All answers together are gigabytes; V8's garbage of those that were given is some 100 MiB.
  t.ok(grown < 192, `${Math.round(grown)} MiB`);
});

function residentBytes(pid: number): number {
  const [, kB] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kB) * 1024;
}
