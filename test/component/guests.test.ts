/** Admin port: whatever some do there, health is answered, and what they hold is bounded. */
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import { makeConfig } from '../../src/base/config.ts';
import { type LimitName, makeLimits } from '../../src/base/limits.ts';
import { makeAdmin } from '../../src/observer/admin.ts';
import { AdminGuard } from '../../src/observer/adminGuard.ts';
import { EventStream } from '../../src/observer/eventStream.ts';
import { Exposition } from '../../src/observer/exposition.ts';
import { Guests } from '../../src/observer/guests.ts';
import { NodeStatus } from '../../src/observer/nodeStatus.ts';
import { waitFor } from '../helpers/waitFor.ts';

/** So many that a page is more than a few. */
const ACCEPTORS = 64;
const PIECE_BYTES = 100_000;
const METRICS = 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';

async function admin(
  t: Test,
  limits: Partial<Record<LimitName, number>> = {},
  add: (pages: FastifyInstance, guests: Guests) => void = () => {},
) {
  const all = makeLimits(limits);
  const guests = new Guests(all);
  const status = new NodeStatus(ACCEPTORS, all.reportMs);
  const guard = new AdminGuard(makeConfig({}));
  const pages = makeAdmin(status, new Exposition(status, 1_000, guests.ends), guests, guard, all);
  add(pages, guests);
  await pages.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => pages.close());
  const { port } = pages.server.address() as AddressInfo;
  return { guests, port, server: pages.server };
}

async function guest(t: Test, port: number, localAddress = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  socket.on('error', () => {});
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.on('close', () => resolve()));
}

/** One question on a connection of its own: what a balancer does. */
async function health(t: Test, port: number): Promise<string> {
  const socket = await guest(t, port);
  socket.write('GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n');
  let text = '';
  for await (const chunk of socket) text += chunk;
  return text;
}

const ANSWER = /^HTTP\/1.1 503 [\s\S]*"live":false/;

t.test('silent connections, more than there may be: health is answered at once', async (t) => {
  const { guests, port } = await admin(t, { adminStallMs: 600_000 });
  for (let count = 0; count < 300; count += 1) await guest(t, port);

  t.match(await health(t, port), ANSWER);

  t.ok(guests.ends.full >= 300 - 256, `${guests.ends.full} made room`);
});

t.test('connections that come again as soon as they are closed: health is answered', async (t) => {
  const { guests, port } = await admin(t, { adminConnectionsMax: 20 });
  let isOver = false;
  const again = (): void => {
    if (isOver) return;
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {}).on('close', again);
    t.teardown(() => socket.destroy());
  };
  for (let count = 0; count < 30; count += 1) again();
  await waitFor('a full port', () => guests.ends.full > 100);

  for (let asked = 0; asked < 20; asked += 1) t.match(await health(t, port), ANSWER);

  isOver = true;
});

t.test('connections that ask and do not read: health is answered', async (t) => {
  const { guests, port } = await admin(t, { adminConnectionsMax: 50, adminStallMs: 600_000 });
  for (let count = 0; count < 50; count += 1) {
    const socket = await guest(t, port);
    socket.pause();
    socket.write(METRICS.repeat(8));
  }

  t.match(await health(t, port), ANSWER);

  t.ok(guests.ends.full >= 1);
});

t.test('an address that holds few loses none to one that holds many', async (t) => {
  const { guests, port } = await admin(t, { adminConnectionsMax: 20, adminStallMs: 600_000 });
  const few = await guest(t, port, '127.0.0.2');
  const over = closed(few).then(() => 'closed');
  for (let count = 0; count < 60; count += 1) await guest(t, port);
  await waitFor('room made', () => guests.ends.full === 41);

  few.write('GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  const first = await Promise.race([once(few, 'data').then(String), over]);

  t.match(first, ANSWER);
});

t.test('requests in a row are answered in order; more than that, and it is closed', async (t) => {
  const { guests, port } = await admin(t);
  const polite = await guest(t, port);
  const paths = ['/', '/health/live', '/nothing', '/metrics', '/', '/health/ready'];
  const last = 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n';
  polite.write(
    paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`).join('') + last,
  );
  let text = '';
  for await (const chunk of polite) text += chunk;
  t.same(
    [...text.matchAll(/HTTP\/1.1 (\d+)/g)].map(([, status]) => status),
    ['200', '503', '404', '200', '200', '503', '200'],
  );

  const greedy = await Promise.all(Array.from({ length: 40 }, () => guest(t, port)));
  const ends = greedy.map(closed);
  for (const socket of greedy) socket.write(METRICS.repeat(1_500));
  await Promise.all(ends);

  t.equal(guests.ends.pipelined, 40);
  t.match(await health(t, port), ANSWER);
});

t.test('an answer that goes on is no stalled one while it is read; then it is', async (t) => {
  const { guests, port, server } = await admin(t, { adminStallMs: 150 }, (pages, all) => {
    pages.get('/stream', (request, reply) => {
      reply.hijack();
      const stream: EventStream = new EventStream(request.raw, reply.raw, all, () => {});
      // Each 5 ms a piece, for ever.
      const more = setInterval(() => stream.write('x'.repeat(PIECE_BYTES)), 5);
      void stream.ended.then(() => clearInterval(more));
    });
  });
  const reader = await guest(t, port);
  reader.write('GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  let bytes = 0;
  reader.on('data', (chunk) => {
    bytes += chunk.length;
  });
  await waitFor('far more pieces than come in adminStallMs', () => bytes > 80 * PIECE_BYTES);
  t.equal(guests.ends.stalled, 0);

  reader.pause();
  await waitFor('its end', () => guests.ends.stalled === 1);

  const open = await new Promise((resolve) => server.getConnections((_, count) => resolve(count)));
  t.equal(open, 0);
});

t.test('who asks nothing, and who does not take the answer, is closed in time', async (t) => {
  const { guests, port, server } = await admin(t, { adminStallMs: 100, adminPipelinedMax: 1_000 });
  const silent = await guest(t, port);
  await closed(silent);
  t.match(guests.ends, { silent: 1, stalled: 0 });

  const slow = await guest(t, port);
  slow.pause();
  // More than the kernel takes for both ends.
  slow.write(METRICS.repeat(900));
  await waitFor('the end of it', () => guests.ends.stalled === 1);

  const open = await new Promise((resolve) => server.getConnections((_, count) => resolve(count)));
  t.equal(open, 0);
});
